import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { cumsum } from './cumsum.ts';

export const cumsumCases: readonly Case[] = [
  {
    name: 'cumsum of bool',
    inputs: [exactly('bool', [4], [1, 0, 1, 1])],
    f: (x) => cumsum(x, 0),
    expected: [1, 1, 2, 3],
  },
  { name: 'cumsum', inputs: [floats([3, 5])], f: (x) => cumsum(x, -1) },
  { name: 'cumsum along the first axis', inputs: [floats([4, 3])], f: (x) => cumsum(x, 0) },
  { name: 'cumsum in the middle', inputs: [floats([2, 3, 2])], f: (x) => cumsum(x, 1, { exclusive: true }) },
  { name: 'cumsum from the end', inputs: [floats([2, 6])], f: (x) => cumsum(x, 1, { reverse: true }) },
  {
    name: 'cumsum from the end without the place itself',
    inputs: [floats([2, 6])],
    f: (x) => cumsum(x, 1, { reverse: true, exclusive: true }),
  },
  {
    name: 'cumsum of a long axis',
    inputs: [floats([2, 1000])],
    f: (x) => cumsum(x, 1),
    gradient: false,
    tolerance: 2e-5,
  },
  {
    name: 'cumsum of a long axis from the end',
    inputs: [floats([2, 300])],
    f: (x) => cumsum(x, 1, { exclusive: true, reverse: true }),
    gradient: false,
  },
  { name: 'cumsum of nothing', inputs: [floats([2, 0])], f: (x) => cumsum(x, 1) },
  { name: 'cumsum i32', inputs: [integers([9], -9, 9)], f: (x) => cumsum(x, 0) },
  { name: 'cumsum u32', inputs: [integers([9], 0, 9, 'u32')], f: (x) => cumsum(x, 0) },
  { name: 'cumsum f16', inputs: [halves([2, 8])], f: (x) => cumsum(x, 1) },
];
