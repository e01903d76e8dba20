import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { clip, round } from './rounding.ts';

const ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, 7.51];

export const roundingCases: readonly Case[] = [
  { name: 'round to even', inputs: [exactly('f32', [8], ties)], f: round, gradient: false },
  { name: 'round f32', inputs: [floats([4, 4], -9, 9)], f: round, gradient: false },
  { name: 'round f16', inputs: [exactly('f16', [6], ties.slice(0, 6))], f: round },
  { name: 'clip f32', inputs: [floats([4, 5])], f: (x) => clip(x, -0.5, 1) },
  { name: 'clip from below', inputs: [floats([9])], f: (x) => clip(x, 0.25) },
  { name: 'clip from above', inputs: [floats([9])], f: (x) => clip(x, undefined, 0.25) },
  { name: 'clip without limits', inputs: [floats([3])], f: (x) => clip(x) },
  { name: 'clip f16', inputs: [halves([9])], f: (x) => clip(x, -1, 1) },
  { name: 'clip i32', inputs: [integers([9], -9, 9)], f: (x) => clip(x, -3, 4) },
  { name: 'clip u32', inputs: [exactly('u32', [3], [0, 7, 4e9])], f: (x) => clip(x, 1, 3e9) },
];
