import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { ceil, clip, round } from './rounding.ts';

const ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, 7.51];

export const roundingCases: readonly Case[] = [
  { name: 'round to even', inputs: [exactly('f32', [8], ties)], f: round, gradient: false },
  { name: 'round f32', inputs: [floats([4, 4], -9, 9)], f: round, gradient: false },
  { name: 'round f16', inputs: [exactly('f16', [6], ties.slice(0, 6))], f: round },
  {
    name: 'ceil',
    inputs: [exactly('f32', [5], [-1.5, -0.2, 0, 0.2, 7])],
    f: ceil,
    expected: [-1, -0, 0, 1, 7],
    gradient: false,
  },
  { name: 'ceil f16', inputs: [halves([7], -9, 9)], f: ceil },
  { name: 'clip f32', inputs: [floats([4, 5])], f: (x) => clip(x, -0.5, 1) },
  { name: 'clip from below', inputs: [floats([9])], f: (x) => clip(x, 0.25) },
  { name: 'clip from above', inputs: [floats([9])], f: (x) => clip(x, undefined, 0.25) },
  { name: 'clip without limits', inputs: [floats([3])], f: (x) => clip(x) },
  { name: 'clip f16', inputs: [halves([9])], f: (x) => clip(x, -1, 1) },
  { name: 'clip i32', inputs: [integers([9], -9, 9)], f: (x) => clip(x, -3, 4) },
  {
    name: 'clip i32 with an infinite limit',
    inputs: [exactly('i32', [3], [-9, 0, 9])],
    f: (x) => clip(x, Number.NEGATIVE_INFINITY, 4),
    expected: [-9, 0, 4],
  },
  {
    name: 'clip u32 with an infinite limit',
    inputs: [exactly('u32', [3], [0, 7, 4e9])],
    f: (x) => clip(x, 3, Number.POSITIVE_INFINITY),
    expected: [3, 7, 4e9],
  },
  {
    name: 'clip at limits beyond 2^63',
    inputs: [exactly('f32', [3], [1e30, -1e30, 3])],
    f: (x) => clip(x, -1e20, 1e20),
    expected: [1e20, -1e20, 3],
    gradient: false,
  },
  { name: 'clip u32', inputs: [exactly('u32', [3], [0, 7, 4e9])], f: (x) => clip(x, 1, 3e9) },
];
