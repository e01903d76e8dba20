import { type Case, exactly, floats, integers } from '../../../../../test-support/cases.ts';
import { reduction } from '../../../../../test-support/reduction-cases.ts';
import { prod } from './prod.ts';

export const prodCases: readonly Case[] = [
  { name: 'prod of bool', inputs: [exactly('bool', [3], [1, 1, 1])], f: (x) => prod(x), expected: [1] },
  { name: 'prod by hand', inputs: [exactly('f32', [2, 2], [2, -3, 0.5, 4])], f: (x) => prod(x, 0), expected: [1, -12] },
  ...reduction('prod', prod),
  { name: 'prod i32', inputs: [integers([3, 4], -5, 5)], f: (x) => prod(x, 0) },
  { name: 'prod u32', inputs: [integers([3, 4], 1, 9, 'u32')], f: (x) => prod(x, 1) },
  { name: 'prod wraps i32', inputs: [exactly('i32', [2], [65537, 65537])], f: (x) => prod(x) },
  {
    name: 'prod with zeros',
    inputs: [exactly('f32', [3, 3], [2, 0, -3, 0, 5, 0, 1.5, -2, 4])],
    f: (x) => prod(x, 1),
  },
  { name: 'prod over an empty axis', inputs: [floats([2, 0])], f: (x) => prod(x, 1), gradient: false },
  { name: 'prod of many', inputs: [floats([2, 19], 0.5, 1.5)], f: (x) => prod(x, 1) },
];
