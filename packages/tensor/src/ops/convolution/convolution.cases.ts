import { type Case, floats, halves } from '../../../../../test-support/cases.ts';
import { conv1d, conv2d } from './convolution.ts';

export const convolutionCases: readonly Case[] = [
  { name: 'conv1d', inputs: [floats([2, 3, 7]), floats([4, 3, 3])], f: (x, w) => conv1d(x, w) },
  {
    name: 'conv1d with all options',
    inputs: [floats([1, 4, 9]), floats([6, 2, 3]), floats([6])],
    f: (x, w, bias) => conv1d(x, w, { bias, stride: 2, padding: [2, 1], dilation: 2, groups: 2 }),
  },
  {
    name: 'conv1d of what went before',
    inputs: [floats([1, 2, 6]), floats([2, 1, 4])],
    f: (x, w) => conv1d(x, w, { padding: [3, 0], groups: 2 }),
  },
  {
    name: 'conv1d whose stride leaves values over',
    inputs: [floats([1, 2, 9]), floats([2, 2, 2])],
    f: (x, w) => conv1d(x, w, { stride: 3 }),
  },
  {
    name: 'conv1d padded beyond its window',
    inputs: [floats([1, 1, 4]), floats([1, 1, 2])],
    f: (x, w) => conv1d(x, w, { padding: 3 }),
  },
  {
    name: 'conv1d of padding alone',
    inputs: [floats([2, 2, 0]), floats([3, 2, 2])],
    f: (x, w) => conv1d(x, w, { padding: 2 }),
    gradient: false,
  },
  { name: 'conv1d f16', inputs: [halves([1, 2, 6]), halves([2, 2, 3])], f: (x, w) => conv1d(x, w) },
  { name: 'conv2d', inputs: [floats([2, 3, 5, 4]), floats([2, 3, 3, 2])], f: (x, w) => conv2d(x, w) },
  {
    name: 'conv2d with padding and bias',
    inputs: [floats([1, 2, 4, 4]), floats([3, 2, 3, 3]), floats([3])],
    f: (x, w, bias) => conv2d(x, w, { bias, padding: 1 }),
  },
  {
    name: 'conv2d with all options',
    inputs: [floats([1, 4, 7, 6]), floats([4, 2, 3, 2]), floats([4])],
    f: (x, w, bias) => conv2d(x, w, { bias, stride: [2, 1], padding: [[1, 0], 2], dilation: [1, 2], groups: 2 }),
  },
  {
    name: 'conv2d of channels apart',
    inputs: [floats([1, 3, 4, 4]), floats([3, 1, 2, 2])],
    f: (x, w) => conv2d(x, w, { groups: 3 }),
  },
  {
    name: 'conv2d with a window of one',
    inputs: [floats([2, 3, 2, 2]), floats([4, 3, 1, 1])],
    f: (x, w) => conv2d(x, w),
  },
  {
    name: 'conv2d f16',
    inputs: [halves([1, 2, 4, 4]), halves([2, 2, 3, 3])],
    f: (x, w) => conv2d(x, w, { padding: 1 }),
  },
];
