import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { expm1, log1p, log2, log10 } from './exponential.ts';

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
  { name: 'log2', inputs: [exactly('f32', [4], [8, 1, 0.25, 3])], f: log2, expected: [3, 0, -2, Math.log2(3)] },
  { name: 'log2 f16', inputs: [halves([7], 0.5, 4)], f: log2 },
  { name: 'log2 of special values', inputs: [exactly('f32', [3], [0, -1, infinity])], f: log2, gradient: false },
  { name: 'log10', inputs: [exactly('f32', [3], [1000, 1, 0.5])], f: log10, expected: [3, 0, Math.log10(0.5)] },
  { name: 'log10 f16', inputs: [halves([7], 0.5, 4)], f: log10 },
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
