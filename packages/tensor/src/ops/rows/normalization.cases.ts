import { type Case, floats, halves } from '../../../../../test-support/cases.ts';
import { groupNorm, layerNorm } from './normalization.ts';

export const normalizationCases: readonly Case[] = [
  { name: 'layerNorm', inputs: [floats([3, 8]), floats([8]), floats([8], -1, 1)], f: (x, w, b) => layerNorm(x, w, b) },
  { name: 'layerNorm without bias', inputs: [floats([2, 2, 5]), floats([5])], f: (x, w) => layerNorm(x, w) },
  { name: 'layerNorm alone', inputs: [floats([3, 6])], f: (x) => layerNorm(x, undefined, undefined, 1e-3) },
  {
    name: 'layerNorm far from 0',
    inputs: [floats([2, 64], 100, 101)],
    f: (x) => layerNorm(x),
    gradient: false,
    tolerance: 2e-4,
  },
  {
    name: 'layerNorm of a long axis',
    inputs: [floats([2, 600]), floats([600])],
    f: (x, w) => layerNorm(x, w),
    gradient: false,
  },
  { name: 'layerNorm without rows', inputs: [floats([0, 4])], f: (x) => layerNorm(x), gradient: false },
  {
    name: 'layerNorm f16',
    inputs: [halves([3, 8]), halves([8]), halves([8], -1, 1)],
    f: (x, w, b) => layerNorm(x, w, b),
  },
  { name: 'layerNorm f16 with f32 weights', inputs: [halves([3, 8]), floats([8])], f: (x, w) => layerNorm(x, w) },
  {
    name: 'groupNorm',
    inputs: [floats([2, 6, 3]), floats([6]), floats([6], -1, 1)],
    f: (x, w, b) => groupNorm(x, 3, w, b),
  },
  { name: 'groupNorm of images', inputs: [floats([2, 4, 2, 3]), floats([4])], f: (x, w) => groupNorm(x, 2, w) },
  { name: 'groupNorm of one group', inputs: [floats([2, 4])], f: (x) => groupNorm(x, 1) },
  { name: 'groupNorm f16', inputs: [halves([2, 4, 3]), halves([4])], f: (x, w) => groupNorm(x, 2, w) },
];
