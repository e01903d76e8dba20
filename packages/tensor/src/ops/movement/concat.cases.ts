import { booleans, type Case, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { concat } from './concat.ts';

export const concatCases: readonly Case[] = [
  { name: 'concat along the first axis', inputs: [floats([2, 3]), floats([1, 3])], f: (...x) => concat(x, 0) },
  {
    name: 'concat along the last axis',
    inputs: [floats([2, 3]), floats([2, 1]), floats([2, 2])],
    f: (...x) => concat(x, -1),
  },
  { name: 'concat in the middle', inputs: [floats([2, 1, 3]), floats([2, 2, 3])], f: (...x) => concat(x, 1) },
  { name: 'concat of one tensor twice', inputs: [floats([3])], f: (x) => concat([x, x], 0) },
  {
    name: 'concat of more than a kernel binds',
    inputs: Array.from({ length: 20 }, (_, i) => floats([1 + (i % 3), 2])),
    f: (...x) => concat(x, 0),
  },
  { name: 'concat with nothing', inputs: [floats([0, 2]), floats([3, 2])], f: (...x) => concat(x, 0) },
  { name: 'concat f16', inputs: [halves([3]), halves([2])], f: (...x) => concat(x, 0) },
  { name: 'concat i32', inputs: [integers([2, 2], -9, 9), integers([2, 3], -9, 9)], f: (...x) => concat(x, 1) },
  { name: 'concat u32', inputs: [integers([2], 0, 9, 'u32'), integers([3], 0, 9, 'u32')], f: (...x) => concat(x, 0) },
  { name: 'concat bool', inputs: [booleans([2]), booleans([3])], f: (...x) => concat(x, 0) },
];
