import { booleans, type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { diag, outer } from './diagonal.ts';

const matrix = exactly('f32', [2, 3], [1, 2, 3, 4, 5, 6]);

export const diagonalCases: readonly Case[] = [
  {
    name: 'outer',
    inputs: [exactly('f32', [2], [2, 3]), exactly('f32', [3], [1, 10, 100])],
    f: outer,
    expected: [2, 20, 200, 3, 30, 300],
  },
  { name: 'outer f16', inputs: [halves([3]), halves([2])], f: outer },
  { name: 'diag of a vector', inputs: [exactly('f32', [2], [7, 8])], f: (x) => diag(x), expected: [7, 0, 0, 8] },
  {
    name: 'diag of a vector above the main one',
    inputs: [exactly('i32', [2], [7, 8])],
    f: (x) => diag(x, 1),
    expected: [0, 7, 0, 0, 0, 8, 0, 0, 0],
  },
  { name: 'diag of a vector below', inputs: [floats([3])], f: (x) => diag(x, -2) },
  { name: 'diag of bool', inputs: [booleans([3])], f: (x) => diag(x) },
  { name: 'diag of a matrix', inputs: [matrix], f: (x) => diag(x), expected: [1, 5] },
  { name: 'diag of a matrix above', inputs: [matrix], f: (x) => diag(x, 1), expected: [2, 6] },
  { name: 'diag of a matrix below', inputs: [matrix], f: (x) => diag(x, -1), expected: [4] },
  { name: 'diag of no values', inputs: [matrix], f: (x) => diag(x, 3), expected: [] },
];
