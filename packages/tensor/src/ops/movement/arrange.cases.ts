import { booleans, type Case, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { repeat, roll, split, squeeze, stack, tile, unsqueeze } from './arrange.ts';

export const arrangeCases: readonly Case[] = [
  { name: 'unsqueeze', inputs: [floats([2, 3])], f: (x) => unsqueeze(x, 1) },
  { name: 'unsqueeze at the end', inputs: [halves([2])], f: (x) => unsqueeze(x, -1) },
  { name: 'squeeze', inputs: [floats([1, 3, 1])], f: (x) => squeeze(x) },
  { name: 'squeeze of a named axis', inputs: [integers([1, 3, 1], 0, 9)], f: (x) => squeeze(x, -1) },
  { name: 'stack', inputs: [floats([2, 3]), floats([2, 3], -2, 2, 1)], f: (...x) => stack(x) },
  { name: 'stack at the end', inputs: [halves([3]), halves([3], -2, 2, 1)], f: (...x) => stack(x, -1) },
  { name: 'split', inputs: [floats([6, 2])], f: (x) => split(x, 3)[1]! },
  { name: 'split into parts of their own', inputs: [floats([2, 6])], f: (x) => split(x, [1, 3, 2], -1)[1]! },
  { name: 'split bool', inputs: [booleans([4])], f: (x) => split(x, 2)[1]! },
  { name: 'tile', inputs: [floats([2, 3])], f: (x) => tile(x, [2, 2]) },
  { name: 'tile with an axis in front', inputs: [floats([3])], f: (x) => tile(x, [2, 3]) },
  { name: 'tile of the last axis', inputs: [halves([2, 2])], f: (x) => tile(x, [3]) },
  { name: 'tile i32', inputs: [integers([2], 0, 9)], f: (x) => tile(x, [2]) },
  { name: 'repeat', inputs: [floats([2, 3])], f: (x) => repeat(x, 2, 0) },
  { name: 'repeat f16', inputs: [halves([2, 3])], f: (x) => repeat(x, 3, -1) },
  { name: 'repeat none', inputs: [floats([2, 3])], f: (x) => repeat(x, 0, 1), gradient: false },
  { name: 'roll', inputs: [floats([5, 2])], f: (x) => roll(x, 2, 0) },
  { name: 'roll back', inputs: [floats([2, 5])], f: (x) => roll(x, -7, 1) },
  { name: 'roll by nothing', inputs: [floats([4])], f: (x) => roll(x, 8, 0) },
  { name: 'roll i32', inputs: [integers([6], 0, 9)], f: (x) => roll(x, 1, 0) },
];
