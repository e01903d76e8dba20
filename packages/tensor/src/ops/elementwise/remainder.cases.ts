import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { remainder } from './remainder.ts';

const infinity = Number.POSITIVE_INFINITY;

export const remainderCases: readonly Case[] = [
  {
    name: 'remainder',
    inputs: [exactly('f32', [6], [5, -5, 5, -5, 0.5, -0.25]), exactly('f32', [6], [3, 3, -3, -3, 2, 2])],
    f: remainder,
    expected: [2, 1, -1, -2, 0.5, 1.75],
  },
  { name: 'remainder broadcasts', inputs: [floats([2, 3], 0.1, 0.9), floats([3], 1, 2)], f: remainder },
  {
    name: 'remainder by 0 and infinities',
    inputs: [exactly('f32', [4], [1, 5, -5, infinity]), exactly('f32', [4], [0, infinity, infinity, 2])],
    f: remainder,
    expected: [Number.NaN, 5, infinity, Number.NaN],
    gradient: false,
  },
  { name: 'remainder f16', inputs: [halves([5], 0.1, 0.9), exactly('f16', [1], [0.75])], f: remainder },
  {
    name: 'remainder i32',
    inputs: [exactly('i32', [6], [7, -7, 7, -7, 5, -2147483648]), exactly('i32', [6], [3, 3, -3, -3, 0, -1])],
    f: remainder,
    expected: [1, 2, -2, -1, 0, 0],
  },
  {
    name: 'remainder u32',
    inputs: [exactly('u32', [3], [4e9, 7, 3]), exactly('u32', [3], [7, 0, 5])],
    f: remainder,
    expected: [4e9 % 7, 0, 3],
  },
];
