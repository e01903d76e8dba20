import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { atan2, tan } from './trigonometry.ts';

const infinity = Number.POSITIVE_INFINITY;
const eighth = Math.PI / 4;

export const trigonometryCases: readonly Case[] = [
  { name: 'tan', inputs: [floats([3, 4], -1.2, 1.2)], f: tan, expected: (x) => x.map(Math.tan) },
  { name: 'tan f16', inputs: [halves([5], -1, 1)], f: tan },
  {
    name: 'atan2',
    inputs: [floats([30], -2, 2), floats([30], -2, 2, 1)],
    f: atan2,
    tolerance: 1e-6,
    expected: (y, x) => y.map((value, i) => Math.atan2(value, x[i]!)),
  },
  { name: 'atan2 broadcasts', inputs: [floats([3, 1], 0.5, 2), floats([4], 0.5, 2)], f: atan2 },
  { name: 'atan2 f16', inputs: [halves([7], 0.5, 2), halves([7], -2, -0.5)], f: atan2 },
  {
    name: 'atan2 of zeros and infinities',
    inputs: [
      exactly('f32', [9], [0, 0, -0, 0, -0, infinity, infinity, -infinity, 1]),
      exactly('f32', [9], [0, -1, -1, 1, -0, infinity, -infinity, 1, -infinity]),
    ],
    f: atan2,
    expected: [0, Math.PI, -Math.PI, 0, -Math.PI, eighth, 3 * eighth, -2 * eighth, Math.PI],
    gradient: false,
  },
];
