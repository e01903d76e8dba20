import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { linearCrossEntropy } from './loss.ts';

const ignoring = exactly('i32', [7], [0, 4, -100, 2, 3, -100, 1]);

export const lossCases: readonly Case[] = [
  {
    name: 'linearCrossEntropy',
    inputs: [floats([5, 3]), floats([4, 3]), integers([5], 0, 4)],
    f: (x, w, t) => linearCrossEntropy(x, w, t),
  },
  {
    name: 'linearCrossEntropy in chunks',
    inputs: [floats([7, 3]), floats([5, 3]), ignoring, floats([5])],
    f: (x, w, t, bias) => linearCrossEntropy(x, w, t, { bias, chunkRows: 3 }),
  },
  {
    name: 'linearCrossEntropy with label smoothing',
    inputs: [floats([2, 3, 4]), floats([5, 4]), integers([2, 3], 0, 5)],
    f: (x, w, t) => linearCrossEntropy(x, w, t, { labelSmoothing: 0.2, chunkRows: 4 }),
  },
  {
    name: 'linearCrossEntropy of rows that count, all alike, is the loss of one',
    inputs: [exactly('f32', [3, 2], Array(6).fill(0)), floats([4, 2]), exactly('i32', [3], [1, 0, 2])],
    f: (x, w, t) => linearCrossEntropy(x, w, t, { ignoreIndex: 0 }),
    gradient: false,
    expected: [Math.log(4)],
  },
  {
    name: 'linearCrossEntropy with an ignoreIndex of its own',
    inputs: [floats([4, 3]), floats([4, 3], -2, 2, 1), exactly('i32', [4], [0, 1, 0, 3])],
    f: (x, w, t) => linearCrossEntropy(x, w, t, { ignoreIndex: 0, chunkRows: 1 }),
  },
  {
    name: 'linearCrossEntropy of more classes than a workgroup has invocations',
    inputs: [floats([3, 2]), floats([1100, 2]), exactly('i32', [3], [1099, -100, 0])],
    f: (x, w, t) => linearCrossEntropy(x, w, t, { labelSmoothing: 0.1 }),
    gradient: false,
  },
  {
    name: 'linearCrossEntropy of an odd number of classes',
    inputs: [floats([3, 2]), floats([259, 2]), exactly('i32', [3], [257, 258, 0])],
    f: (x, w, t) => linearCrossEntropy(x, w, t),
    gradient: false,
  },
  {
    name: 'linearCrossEntropy f16',
    inputs: [halves([4, 8]), halves([6, 8]), integers([4], 0, 6)],
    f: (x, w, t) => linearCrossEntropy(x, w, t, { chunkRows: 2 }),
    // logits are products of f16
    tolerance: 1e-3,
  },
];
