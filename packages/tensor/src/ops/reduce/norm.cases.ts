import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { norm, std } from './norm.ts';

const infinity = Number.POSITIVE_INFINITY;
const rows = exactly('f32', [2, 3], [3, -4, 12, 0, 1, -1]);

export const normCases: readonly Case[] = [
  { name: 'std', inputs: [exactly('f32', [4], [2, 4, 4, 6])], f: (x) => std(x), expected: [Math.SQRT2] },
  {
    name: 'std of a sample',
    inputs: [exactly('f32', [2, 2], [1, 3, 5, 9])],
    f: (x) => std(x, 1, { correction: 1 }),
    expected: [Math.SQRT2, 2 * Math.SQRT2],
  },
  { name: 'std f16', inputs: [halves([3, 8])], f: (x) => std(x, 1) },
  { name: 'norm', inputs: [rows], f: (x) => norm(x, 1), expected: [13, Math.SQRT2] },
  { name: 'norm of all values', inputs: [floats([3, 4])], f: (x) => norm(x, undefined, { keepDims: true }) },
  { name: 'norm of order 1', inputs: [rows], f: (x) => norm(x, 1, { ord: 1 }), expected: [19, 2], gradient: false },
  { name: 'norm of order 3', inputs: [floats([3, 4], 0.5, 2)], f: (x) => norm(x, 0, { ord: 3 }) },
  { name: 'norm of order 0', inputs: [rows], f: (x) => norm(x, 1, { ord: 0 }), expected: [3, 2], gradient: false },
  {
    name: 'norm of order Infinity',
    inputs: [rows],
    f: (x) => norm(x, 1, { ord: infinity }),
    expected: [12, 1],
    gradient: false,
  },
  {
    name: 'norm of order -Infinity',
    inputs: [rows],
    f: (x) => norm(x, 1, { ord: -infinity }),
    expected: [3, 0],
    gradient: false,
  },
  {
    name: 'norm of values whose squares f32 does not hold',
    inputs: [exactly('f32', [3, 2], [3e30, 4e30, 3e-30, 4e-30, 0, 0])],
    f: (x) => norm(x, 1).div(exactScale(x)),
    expected: [5, 5, 0],
    gradient: false,
  },
  { name: 'norm f16', inputs: [halves([3, 8])], f: (x) => norm(x, 1) },
];

/** 1e30, 1e-30 and 1, for rows of these sizes. */
function exactScale(x: Parameters<typeof norm>[0]) {
  return x.device.tensor([1e30, 1e-30, 1]);
}
