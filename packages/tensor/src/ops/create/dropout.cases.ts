import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { dropout } from './dropout.ts';

const key = exactly('u32', [2], [3, 4]);

export const dropoutCases: readonly Case[] = [
  {
    name: 'dropout of everything',
    inputs: [exactly('f32', [3], [1, Number.NaN, Number.POSITIVE_INFINITY])],
    f: (x) => dropout(x, 1, 3),
    expected: [0, 0, 0],
    gradient: false,
  },
  { name: 'dropout', inputs: [floats([4, 5])], f: (x) => dropout(x, 0.4, 11) },
  { name: 'dropout of nothing', inputs: [floats([4])], f: (x) => dropout(x, 0, 11) },
  { name: 'dropout with a key tensor', inputs: [floats([3, 4]), key], f: (x, k) => dropout(x, 0.5, k) },
  { name: 'dropout f16', inputs: [halves([12])], f: (x) => dropout(x, 0.25, 5) },
];
