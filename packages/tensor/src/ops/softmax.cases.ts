import { type Case, exactly, floats, halves } from '../../../../test-support/cases.ts';
import type { Tensor } from '../graph/tensor.ts';
import { logSoftmax, softmax } from './softmax.ts';

const large = exactly('f32', [2, 3], [1000, 1001, 999, -1000, -1000, -998]);
const masked = exactly('f32', [1, 3], [0.5, Number.NEGATIVE_INFINITY, 1.5]);

const alongAxis = (name: string, f: (x: Tensor, axis?: number) => Tensor): Case[] => [
  { name: `${name} over the last axis`, inputs: [floats([3, 4])], f: (x) => f(x) },
  { name: `${name} over the first axis`, inputs: [floats([3, 2])], f: (x) => f(x, 0) },
  { name: `${name} in the middle`, inputs: [floats([2, 3, 2])], f: (x) => f(x, -2) },
  { name: `${name} over an axis of one`, inputs: [floats([3, 1])], f: (x) => f(x) },
  { name: `${name} over a long axis`, inputs: [floats([2, 900])], f: (x) => f(x), gradient: false },
  { name: `${name} of large values`, inputs: [large], f: (x) => f(x), gradient: false },
  { name: `${name} with a masked value`, inputs: [masked], f: (x) => f(x), gradient: false },
  { name: `${name} without rows`, inputs: [floats([0, 3])], f: (x) => f(x) },
  { name: `${name} f16`, inputs: [halves([2, 6])], f: (x) => f(x) },
];

export const softmaxCases: readonly Case[] = [...alongAxis('softmax', softmax), ...alongAxis('logSoftmax', logSoftmax)];
