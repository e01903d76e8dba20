import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { pad, slice } from './slice.ts';

export const sliceCases: readonly Case[] = [
  { name: 'slice', inputs: [floats([5, 3])], f: (x) => slice(x, 0, 1, 4) },
  { name: 'slice from the end', inputs: [floats([2, 6])], f: (x) => slice(x, -1, -3, -1) },
  { name: 'slice with steps', inputs: [floats([2, 7])], f: (x) => slice(x, 1, 1, 7, 2) },
  { name: 'slice with steps that do not divide', inputs: [floats([8])], f: (x) => slice(x, 0, 0, 8, 3) },
  { name: 'slice with a step beyond the axis', inputs: [floats([5])], f: (x) => slice(x, 0, 1, 5, 2 ** 40) },
  { name: 'slice of nothing', inputs: [floats([4, 2])], f: (x) => slice(x, 0, 2, 2) },
  { name: 'slice u32', inputs: [integers([6], 0, 9, 'u32')], f: (x) => slice(x, 0, 2) },
  { name: 'slice bool', inputs: [booleans([6])], f: (x) => slice(x, 0, 2, 6, 2) },
  { name: 'slice f16', inputs: [halves([3, 4])], f: (x) => slice(x, 1, 1, 3) },
  {
    name: 'slice backwards',
    inputs: [exactly('f32', [5], [1, 2, 3, 4, 5])],
    f: (x) => slice(x, 0, -1, undefined, -1),
    expected: [5, 4, 3, 2, 1],
  },
  {
    name: 'slice backwards in steps',
    inputs: [exactly('i32', [6], [1, 2, 3, 4, 5, 6])],
    f: (x) => slice(x, 0, 4, 0, -2),
    expected: [5, 3],
  },
  { name: 'slice backwards of one axis', inputs: [floats([3, 4])], f: (x) => slice(x, 1, -1, 0, -2) },
  { name: 'slice backwards of nothing', inputs: [floats([3])], f: (x) => slice(x, 0, 1, 1, -1) },
  { name: 'pad', inputs: [floats([2, 3])], f: (x) => pad(x, [1, 0], [0, 2]) },
  { name: 'pad i32', inputs: [integers([3], -9, 9)], f: (x) => pad(x, [2], [1]) },
  { name: 'pad u32', inputs: [integers([3], 1, 9, 'u32')], f: (x) => pad(x, [1], [1]) },
  { name: 'pad bool', inputs: [booleans([3])], f: (x) => pad(x, [1], [1]) },
  { name: 'pad f16', inputs: [halves([3, 2])], f: (x) => pad(x, [0, 1], [1, 0]) },
  { name: 'pad of nothing', inputs: [floats([0, 2])], f: (x) => pad(x, [1, 0], [1, 0]) },
];
