import { type Case, floats, halves } from '../../../../../test-support/cases.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { matmul } from './matmul.ts';

export const matmulCases: readonly Case[] = [
  {
    name: 'matmul in batches whose rows are no multiple of a tile',
    inputs: [floats([40, 70, 36]), floats([40, 36, 132])],
    f: (a, b) => matmul(a, b),
    gradient: false,
  },
  { name: 'matmul', inputs: [floats([3, 4]), floats([4, 2])], f: (a, b) => matmul(a, b) },
  {
    name: 'matmul with a transposed',
    inputs: [floats([4, 3]), floats([4, 2])],
    f: (a, b) => matmul(a, b, { transposeA: true }),
  },
  {
    name: 'matmul with b transposed',
    inputs: [floats([3, 4]), floats([2, 4])],
    f: (a, b) => matmul(a, b, { transposeB: true }),
  },
  {
    name: 'matmul with both transposed',
    inputs: [floats([4, 3]), floats([2, 4])],
    f: (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
  },
  { name: 'matmul in batches', inputs: [floats([2, 3, 2]), floats([2, 2, 3])], f: (a, b) => matmul(a, b) },
  {
    name: 'matmul in batches with b transposed',
    inputs: [floats([2, 2, 3]), floats([2, 4, 3])],
    f: (a, b) => matmul(a, b, { transposeB: true }),
  },
  {
    name: 'matmul in batches with a transposed',
    inputs: [floats([2, 3, 2]), floats([2, 3, 4])],
    f: (a, b) => matmul(a, b, { transposeA: true }),
  },
  { name: 'matmul broadcasts a', inputs: [floats([2, 3]), floats([2, 1, 3, 2])], f: (a, b) => matmul(a, b) },
  { name: 'matmul broadcasts b', inputs: [floats([2, 2, 3]), floats([3, 2])], f: (a, b) => matmul(a, b) },
  {
    name: 'matmul broadcasts b transposed',
    inputs: [floats([2, 2, 3]), floats([2, 3])],
    f: (a, b) => matmul(a, b, { transposeB: true }),
  },
  {
    name: 'matmul broadcasts both batches',
    inputs: [floats([2, 1, 2, 3]), floats([1, 2, 3, 2])],
    f: (a, b) => matmul(a, b),
  },
  { name: 'matmul of a row', inputs: [floats([4]), floats([4, 3])], f: (a, b) => matmul(a, b) },
  { name: 'matmul of a column', inputs: [floats([3, 4]), floats([4])], f: (a, b) => matmul(a, b) },
  { name: 'matmul of two vectors', inputs: [floats([5]), floats([5], -2, 2, 1)], f: (a, b) => matmul(a, b) },
  {
    name: 'matmul of uneven sizes',
    inputs: [floats([37, 67], -1, 1), floats([67, 70], -1, 1)],
    f: (a, b) => matmul(a, b),
    gradient: false,
  },
  ...[{}, { transposeA: true }, { transposeB: true }].map(({ transposeA = false, transposeB = false }) => ({
    name: `matmul of sums over nothing${transposeA ? ' with a transposed' : transposeB ? ' with b transposed' : ''}`,
    inputs: [floats(transposeA ? [2, 0, 300] : [2, 300, 0]), floats(transposeB ? [2, 40, 0] : [2, 0, 40])],
    f: (a: Tensor, b: Tensor) => matmul(a, b, { transposeA, transposeB }),
    gradient: false,
    expected: Array<number>(2 * 300 * 40).fill(0),
  })),
  {
    name: 'matmul of one row and a matrix',
    inputs: [floats([1, 96], -1, 1), floats([80, 96], -1, 1)],
    f: (a, b) => matmul(a, b, { transposeB: true }),
    gradient: false,
  },
  { name: 'matmul without rows', inputs: [floats([0, 3]), floats([3, 2])], f: (a, b) => matmul(a, b) },
  { name: 'matmul over nothing', inputs: [floats([2, 0]), floats([0, 3])], f: (a, b) => matmul(a, b), gradient: false },
  { name: 'matmul f16', inputs: [halves([3, 8]), halves([8, 4])], f: (a, b) => matmul(a, b) },
  {
    name: 'matmul f16 with b transposed',
    inputs: [halves([3, 8]), halves([4, 8])],
    f: (a, b) => matmul(a, b, { transposeB: true }),
  },
  {
    name: 'matmul f16 into f32',
    inputs: [halves([3, 8]), halves([4, 8])],
    f: (a, b) => matmul(a, b, { transposeB: true, dtype: 'f32' }),
  },
  { name: 'matmul f32 with f16', inputs: [floats([3, 4]), halves([4, 2])], f: (a, b) => matmul(a, b) },
];
