import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { expm1, log1p } from './exponential.ts';

const infinity = Number.POSITIVE_INFINITY;

export const exponentialCases: readonly Case[] = [
  { name: 'expm1', inputs: [floats([5, 8], -3, 3)], f: expm1 },
  { name: 'expm1 near 0', inputs: [floats([16], -1e-4, 1e-4)], f: expm1, tolerance: 1e-6 },
  {
    name: 'expm1 of special values',
    inputs: [exactly('f32', [5], [-infinity, infinity, 0, -90, Number.NaN])],
    f: expm1,
    gradient: false,
  },
  { name: 'expm1 f16', inputs: [halves([7])], f: expm1 },
  { name: 'log1p', inputs: [floats([5, 8], -0.9, 3)], f: log1p },
  { name: 'log1p near 0', inputs: [floats([16], -1e-4, 1e-4)], f: log1p, tolerance: 1e-6 },
  {
    name: 'log1p of special values',
    inputs: [exactly('f32', [5], [-1, infinity, 0, -2, Number.NaN])],
    f: log1p,
    gradient: false,
  },
  { name: 'log1p f16', inputs: [halves([7], 0, 4)], f: log1p },
];
