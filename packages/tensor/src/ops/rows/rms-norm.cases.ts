import { type Case, floats, halves } from '../../../../../test-support/cases.ts';
import { rmsNorm } from './rms-norm.ts';

export const rmsNormCases: readonly Case[] = [
  { name: 'rmsNorm', inputs: [floats([3, 8]), floats([8])], f: (x, w) => rmsNorm(x, w) },
  { name: 'rmsNorm of three axes', inputs: [floats([2, 2, 5]), floats([5])], f: (x, w) => rmsNorm(x, w, 1e-5) },
  { name: 'rmsNorm of a vector', inputs: [floats([6]), floats([6], -2, 2, 1)], f: (x, w) => rmsNorm(x, w) },
  {
    name: 'rmsNorm of small values',
    inputs: [floats([2, 4], -1e-3, 1e-3), floats([4])],
    f: (x, w) => rmsNorm(x, w),
    gradient: false,
  },
  {
    name: 'rmsNorm of a long axis',
    inputs: [floats([2, 300]), floats([300])],
    f: (x, w) => rmsNorm(x, w),
    gradient: false,
  },
  { name: 'rmsNorm without rows', inputs: [floats([0, 4]), floats([4])], f: (x, w) => rmsNorm(x, w), gradient: false },
  {
    name: 'rmsNorm without columns',
    inputs: [floats([2, 0]), floats([0])],
    f: (x, w) => rmsNorm(x, w),
    gradient: false,
  },
  { name: 'rmsNorm f16', inputs: [halves([3, 8]), halves([8])], f: (x, w) => rmsNorm(x, w) },
  { name: 'rmsNorm f16 with an f32 weight', inputs: [halves([3, 8]), floats([8])], f: (x, w) => rmsNorm(x, w) },
];
