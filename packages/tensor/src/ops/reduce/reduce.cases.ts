import { type Case, exactly, floats, integers } from '../../../../../test-support/cases.ts';
import { reduction, wholeReduction } from '../../../../../test-support/reduction-cases.ts';
import { mean, sum } from './reduce.ts';

export const reduceCases: readonly Case[] = [
  ...reduction('sum', sum),
  ...wholeReduction('sum', sum),
  { name: 'sum over an empty axis', inputs: [floats([2, 0])], f: (x) => sum(x, 1) },
  { name: 'sum wraps i32', inputs: [exactly('i32', [2, 2], [2147483647, 1, -2147483648, -1])], f: (x) => sum(x, 1) },
  { name: 'sum wraps u32', inputs: [exactly('u32', [3], [4294967295, 4294967295, 5])], f: (x) => sum(x) },
  {
    // so long that a GPU cuts it into parts
    name: 'sum of a long row in parts',
    inputs: [floats([1, 9001], 0.5, 1)],
    f: (x) => sum(x, 1),
    gradient: false,
    tolerance: 2e-5,
  },
  { name: 'sum of many i32', inputs: [integers([400], -9, 9)], f: (x) => sum(x) },
  {
    name: 'sum of bool counts',
    inputs: [exactly('bool', [2, 3], [1, 0, 1, 0, 0, 1])],
    f: (x) => sum(x, 1),
    expected: [2, 1],
  },
  {
    name: 'sum of f32',
    inputs: [exactly('f32', [2, 3], [1, 2, 3, -4, 0.5, 6])],
    f: (x) => sum(x, 0),
    expected: [-3, 2.5, 9],
  },
  {
    name: 'mean of bool',
    inputs: [exactly('bool', [4], [1, 0, 1, 1])],
    f: (x) => mean(x),
    expected: [0.75],
  },
  {
    name: 'mean of i32',
    inputs: [exactly('i32', [2, 2], [1, 2, -3, -4])],
    f: (x) => mean(x, 1),
    expected: [1.5, -3.5],
  },
  ...reduction('mean', mean),
  { name: 'mean over an empty axis', inputs: [floats([2, 0])], f: (x) => mean(x, 1), gradient: false },
  { name: 'mean of f16 whose sum is none', inputs: [exactly('f16', [2], [60000, 65504])], f: (x) => mean(x) },
];
