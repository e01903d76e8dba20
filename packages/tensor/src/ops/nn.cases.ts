import { type Case, exactly, floats, halves, integers } from '../../../../test-support/cases.ts';
import { crossEntropy, linear } from './nn.ts';

export const nnCases: readonly Case[] = [
  { name: 'linear', inputs: [floats([3, 4]), floats([2, 4])], f: (x, w) => linear(x, w) },
  {
    name: 'linear with a bias',
    inputs: [floats([2, 3, 4]), floats([5, 4]), floats([5])],
    f: (x, w, b) => linear(x, w, b),
  },
  { name: 'linear f16', inputs: [halves([2, 8]), halves([3, 8]), halves([3])], f: (x, w, b) => linear(x, w, b) },
  { name: 'crossEntropy', inputs: [floats([4, 5]), integers([4], 0, 5)], f: (x, t) => crossEntropy(x, t) },
  {
    name: 'crossEntropy of two axes',
    inputs: [floats([2, 3, 4]), integers([2, 3], 0, 4)],
    f: (x, t) => crossEntropy(x, t),
  },
  {
    name: 'crossEntropy passes over ignored targets',
    inputs: [floats([3, 4]), exactly('i32', [3], [1, -100, 3])],
    f: (x, t) => crossEntropy(x, t),
  },
  {
    name: 'crossEntropy with an ignoreIndex of its own',
    inputs: [floats([3, 4]), exactly('i32', [3], [0, 2, 0])],
    f: (x, t) => crossEntropy(x, t, { ignoreIndex: 0 }),
  },
  {
    name: 'crossEntropy with label smoothing',
    inputs: [floats([4, 5]), exactly('i32', [4], [0, -100, 4, 2])],
    f: (x, t) => crossEntropy(x, t, { labelSmoothing: 0.1 }),
  },
  { name: 'crossEntropy f16', inputs: [halves([3, 6]), integers([3], 0, 6)], f: (x, t) => crossEntropy(x, t) },
];
