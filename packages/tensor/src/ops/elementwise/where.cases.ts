import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { where } from './where.ts';

export const whereCases: readonly Case[] = [
  { name: 'where f32', inputs: [booleans([2, 3]), floats([3]), floats([2, 1])], f: where },
  { name: 'where f16', inputs: [booleans([4]), halves([4]), halves([4], -2, 2, 1)], f: where },
  { name: 'where i32', inputs: [booleans([4]), integers([4], -9, 9), integers([4], -9, 9, 'i32', 1)], f: where },
  {
    name: 'where u32',
    inputs: [booleans([2]), exactly('u32', [2], [4e9, 1]), exactly('u32', [2], [2, 3e9])],
    f: where,
  },
  { name: 'where bool', inputs: [booleans([4]), booleans([4], 1), booleans([1], 2)], f: where },
  { name: 'where takes numbers', inputs: [booleans([3, 2])], f: (c) => where(c, 2, -1) },
  {
    name: 'where masks with -Infinity',
    inputs: [booleans([4]), floats([4])],
    f: (c, x) => where(c, x, Number.NEGATIVE_INFINITY),
    gradient: false,
  },
];
