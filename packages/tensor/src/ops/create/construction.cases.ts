import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { eye, linspace, oneHot, tril, triu } from './construction.ts';

export const constructionCases: readonly Case[] = [
  { name: 'eye', create: (device) => eye(device, 3) },
  { name: 'eye that is wide', create: (device) => eye(device, 2, 4, { diagonal: 1 }) },
  { name: 'eye that is tall', create: (device) => eye(device, 4, 2, { diagonal: -1, dtype: 'i32' }) },
  { name: 'eye f16', create: (device) => eye(device, 2, 2, { dtype: 'f16' }) },
  { name: 'eye bool', create: (device) => eye(device, 3, 3, { dtype: 'bool' }) },
  { name: 'linspace', create: (device) => linspace(device, -1, 2, 7) },
  { name: 'linspace ends at its end', create: (device) => linspace(device, 0.1, 0.7, 11).slice(0, 10) },
  { name: 'linspace of one', create: (device) => linspace(device, 3, 9, 1) },
  { name: 'oneHot', inputs: [integers([2, 3], 0, 4)], f: (i) => oneHot(i, 4) },
  { name: 'oneHot outside', inputs: [exactly('i32', [3], [-1, 2, 5])], f: (i) => oneHot(i, 3, 'i32') },
  { name: 'oneHot bool', inputs: [integers([3], 0, 3)], f: (i) => oneHot(i, 3, 'bool') },
  { name: 'tril', inputs: [floats([3, 4])], f: (x) => tril(x) },
  { name: 'tril of a batch', inputs: [floats([2, 3, 3])], f: (x) => tril(x, 1) },
  { name: 'tril i32', inputs: [integers([3, 3], -9, 9)], f: (x) => tril(x, -1) },
  { name: 'tril f16', inputs: [halves([3, 3])], f: (x) => tril(x) },
  { name: 'triu', inputs: [floats([4, 3])], f: (x) => triu(x) },
  { name: 'triu below', inputs: [floats([3, 3])], f: (x) => triu(x, -1) },
  { name: 'triu bool', inputs: [booleans([3, 3])], f: (x) => triu(x, 1) },
];
