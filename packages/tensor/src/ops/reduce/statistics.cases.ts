import { booleans, type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { all, any, logSumExp, variance } from './statistics.ts';

const infinity = Number.POSITIVE_INFINITY;

export const statisticsCases: readonly Case[] = [
  { name: 'variance', inputs: [floats([3, 5])], f: (x) => variance(x) },
  { name: 'variance over an axis', inputs: [floats([3, 5])], f: (x) => variance(x, 1, { keepDims: true }) },
  { name: 'variance of a sample', inputs: [floats([2, 3, 4])], f: (x) => variance(x, [0, -1], { correction: 1 }) },
  {
    name: 'variance far from 0',
    inputs: [floats([2, 50], 1000, 1001)],
    f: (x) => variance(x, 1),
    tolerance: 1e-3,
    gradient: false,
  },
  { name: 'variance f16', inputs: [halves([3, 8])], f: (x) => variance(x, 1) },
  {
    name: 'variance of f16 whose squares have no sum',
    inputs: [exactly('f16', [4], [200, -200, 150, -150])],
    f: (x) => variance(x),
  },
  {
    name: 'variance of fewer values than the correction',
    inputs: [exactly('f32', [3, 2], [1, 2, 5, 5, 1, 2])],
    f: (x) => variance(x, 1, { correction: 3 }),
    gradient: false,
    expected: [infinity, Number.NaN, infinity],
  },
  {
    name: 'variance of a sample, by hand',
    inputs: [exactly('f32', [4], [1, 2, 3, 6])],
    f: (x) => variance(x, 0, { correction: 1 }),
    expected: [14 / 3],
  },
  {
    name: 'logSumExp, by hand',
    inputs: [exactly('f32', [2], [1, 3])],
    f: (x) => logSumExp(x),
    expected: [3.126928011],
  },
  { name: 'logSumExp', inputs: [floats([3, 4])], f: (x) => logSumExp(x) },
  { name: 'logSumExp over an axis', inputs: [floats([3, 4])], f: (x) => logSumExp(x, 0, { keepDims: true }) },
  { name: 'logSumExp over two axes', inputs: [floats([2, 3, 4])], f: (x) => logSumExp(x, [0, 2]) },
  { name: 'logSumExp of large values', inputs: [exactly('f32', [3], [1000, 1001, -1000])], f: (x) => logSumExp(x) },
  {
    name: 'logSumExp of infinities',
    inputs: [exactly('f32', [3, 2], [-infinity, -infinity, -infinity, 3, infinity, 1])],
    f: (x) => logSumExp(x, 1),
    gradient: false,
  },
  { name: 'logSumExp of a scalar', inputs: [floats([])], f: (x) => logSumExp(x) },
  { name: 'logSumExp f16', inputs: [halves([3, 4])], f: (x) => logSumExp(x, 1) },
  { name: 'any', inputs: [exactly('bool', [3, 2], [0, 0, 0, 1, 1, 1])], f: (x) => any(x, 1) },
  { name: 'any of none', inputs: [booleans([2, 0])], f: (x) => any(x, 1) },
  { name: 'any over all axes', inputs: [booleans([3, 4])], f: (x) => any(x) },
  { name: 'all', inputs: [exactly('bool', [3, 2], [0, 0, 0, 1, 1, 1])], f: (x) => all(x, 1, { keepDims: true }) },
  { name: 'all of none', inputs: [booleans([2, 0])], f: (x) => all(x, 1) },
  { name: 'all over all axes', inputs: [booleans([3, 4])], f: (x) => all(x) },
];
