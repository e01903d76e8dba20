import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { grad } from '../../autograd/grad.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { logSoftmax, softmax } from './softmax.ts';

const large = exactly('f32', [2, 3], [1000, 1001, 999, -1000, -1000, -998]);
/** Rows that are no multiple of the lanes of a GPU: what lies beyond them is the lowest value there, too. */
const lowest = exactly('f32', [2, 5], Array(10).fill(Math.fround(-3.4028234663852886e38)));
/** Far below what stands for values beyond the end of a row, in fours and not. */
const farBelow = (width: number) =>
  exactly(
    'f32',
    [2, width],
    Array.from({ length: 2 * width }, (_, i) => -300 - ((i * 5) % 7)),
  );
const masked = exactly('f32', [1, 3], [0.5, Number.NEGATIVE_INFINITY, 1.5]);

const alongAxis = (name: string, f: (x: Tensor, axis?: number) => Tensor): Case[] => [
  { name: `${name} over the last axis`, inputs: [floats([3, 4])], f: (x) => f(x) },
  { name: `${name} over the first axis`, inputs: [floats([3, 2])], f: (x) => f(x, 0) },
  { name: `${name} in the middle`, inputs: [floats([2, 3, 2])], f: (x) => f(x, -2) },
  { name: `${name} over an axis of one`, inputs: [floats([3, 1])], f: (x) => f(x) },
  { name: `${name} over a long axis`, inputs: [floats([2, 900])], f: (x) => f(x), gradient: false },
  { name: `${name} of large values`, inputs: [large], f: (x) => f(x), gradient: false },
  { name: `${name} far below 0`, inputs: [farBelow(5)], f: (x) => f(x), gradient: false },
  { name: `${name} far below 0, in fours`, inputs: [farBelow(8)], f: (x) => f(x), gradient: false },
  { name: `${name} with a masked value`, inputs: [masked], f: (x) => f(x), gradient: false },
  { name: `${name} without rows`, inputs: [floats([0, 3])], f: (x) => f(x) },
  { name: `${name} f16`, inputs: [halves([2, 6])], f: (x) => f(x) },
  {
    name: `${name} of more f16 than f16 counts`,
    inputs: [exactly('f16', [2, 1], [1, -1])],
    f: (x) => f(x.expand([2, 70_000])).max(1),
  },
  {
    name: `${name} of f16 with large gradients`,
    inputs: [exactly('f16', [4, 1], [0, 0, 0, 0])],
    // beside 1, since what is left of these is rounding
    f: (x) =>
      grad((y: Tensor) => f(y, 0).mul(60_000).sum())(x)[0]
        .div(60_000)
        .add(1),
  },
];

export const softmaxCases: readonly Case[] = [
  ...alongAxis('softmax', softmax),
  ...alongAxis('logSoftmax', logSoftmax),
  {
    name: 'softmax of the lowest values',
    inputs: [lowest],
    f: (x) => softmax(x),
    gradient: false,
    expected: Array(10).fill(0.2),
  },
];
