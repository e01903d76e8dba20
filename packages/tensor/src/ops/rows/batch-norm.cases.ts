import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { batchNorm } from './batch-norm.ts';

export const batchNormCases: readonly Case[] = [
  {
    name: 'batchNorm',
    inputs: [exactly('f32', [2, 2], [1, 10, 3, 30])],
    f: (x) => batchNorm(x, { epsilon: 0 }),
    expected: [-1, -1, 1, 1],
    gradient: false,
  },
  {
    name: 'batchNorm of images with weight and bias',
    inputs: [floats([2, 3, 2, 2]), floats([3]), floats([3], -2, 2, 1)],
    f: (x, weight, bias) => batchNorm(x, { weight, bias }),
  },
  {
    name: 'batchNorm by kept statistics',
    inputs: [exactly('f32', [1, 2, 2], [1, 2, 3, 4]), exactly('f32', [2], [1, 2]), exactly('f32', [2], [4, 0.25])],
    f: (x, runningMean, runningVariance) => batchNorm(x, { runningMean, runningVariance, epsilon: 0 }),
    expected: [0, 0.5, 2, 4],
  },
  { name: 'batchNorm f16', inputs: [halves([4, 3])], f: (x) => batchNorm(x) },
];
