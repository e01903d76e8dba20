import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { convTranspose1d, convTranspose2d } from './transposed.ts';

export const transposedCases: readonly Case[] = [
  {
    name: 'convTranspose1d',
    inputs: [exactly('f32', [1, 1, 2], [1, 2]), exactly('f32', [1, 1, 3], [1, 10, 100])],
    f: (x, w) => convTranspose1d(x, w),
    expected: [1, 12, 120, 200],
  },
  {
    name: 'convTranspose1d in steps, with padding at the end and a bias',
    inputs: [exactly('f32', [1, 1, 2], [1, 2]), exactly('f32', [1, 1, 3], [1, 10, 100]), exactly('f32', [1], [0.5])],
    f: (x, w, bias) => convTranspose1d(x, w, { stride: 2, padding: 1, outputPadding: 1, bias }),
    expected: [10.5, 102.5, 20.5, 200.5],
  },
  {
    name: 'convTranspose1d of groups',
    inputs: [floats([2, 4, 3]), floats([4, 3, 2])],
    f: (x, w) => convTranspose1d(x, w, { groups: 2, dilation: 2 }),
  },
  { name: 'convTranspose1d f16', inputs: [halves([1, 2, 3]), halves([2, 2, 2])], f: (x, w) => convTranspose1d(x, w) },
  {
    name: 'convTranspose2d',
    inputs: [floats([2, 3, 2, 3]), floats([3, 2, 3, 2])],
    f: (x, w) => convTranspose2d(x, w, { stride: [2, 1], padding: [1, 0], outputPadding: [1, 0] }),
  },
];
