import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { erf } from './erf.ts';

const infinity = Number.POSITIVE_INFINITY;

export const erfCases: readonly Case[] = [
  { name: 'erf', inputs: [floats([4, 25], -4, 4)], f: erf },
  { name: 'erf near 0', inputs: [floats([20], -1e-3, 1e-3)], f: erf, tolerance: 1e-6 },
  { name: 'erf around 1', inputs: [floats([20], 0.9, 1.1)], f: erf, tolerance: 1e-6 },
  { name: 'erf far out', inputs: [exactly('f32', [5], [-infinity, -8, 0, 5, infinity])], f: erf, gradient: false },
  { name: 'erf of NaN', inputs: [exactly('f32', [1], [Number.NaN])], f: erf, gradient: false },
  { name: 'erf f16', inputs: [halves([9], -3, 3)], f: erf },
];
