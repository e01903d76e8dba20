import { type Case, exactly, floats, halves, integers } from '../../../../test-support/cases.ts';
import { reduction, wholeReduction } from '../../../../test-support/reduction-cases.ts';
import { argmax, argmin, max, min } from './extremum.ts';

export const extremumCases: readonly Case[] = [
  ...reduction('max', max),
  ...wholeReduction('max', max),
  {
    name: 'max of ties shares its gradient',
    inputs: [exactly('f32', [2, 3], [1, 5, 5, 2, 0, -1])],
    f: (x) => max(x, 1),
    gradient: false,
  },
  { name: 'max over an empty axis', inputs: [floats([2, 0])], f: (x) => max(x, 1), gradient: false },
  ...reduction('min', min),
  { name: 'min i32', inputs: [integers([3, 4], -50, 50)], f: (x) => min(x, -2) },
  { name: 'min of the smallest i32', inputs: [exactly('i32', [3], [5, -2147483648, 2147483647])], f: (x) => min(x) },
  { name: 'min u32', inputs: [exactly('u32', [2, 3], [4e9, 0, 1, 5, 4294967295, 3e9])], f: (x) => min(x, 1) },
  { name: 'argmax over the last axis', inputs: [floats([3, 5])], f: (x) => argmax(x, -1) },
  { name: 'argmax over the first axis', inputs: [floats([4, 2])], f: (x) => argmax(x, 0) },
  {
    name: 'argmax takes the first of equals',
    inputs: [exactly('f32', [2, 4], [1, 7, 7, 0, 3, 3, 3, 3])],
    f: (x) => argmax(x, 1),
  },
  { name: 'argmax f16', inputs: [halves([9])], f: (x) => argmax(x, 0) },
  { name: 'min over an empty axis', inputs: [floats([2, 0])], f: (x) => min(x, 1), gradient: false },
  {
    name: 'min of ties shares its gradient',
    inputs: [exactly('f32', [2, 3], [1, 5, 1, 2, 0, 0])],
    f: (x) => min(x, 1),
    gradient: false,
  },
  { name: 'argmin', inputs: [floats([3, 5])], f: (x) => argmin(x, -1) },
  {
    name: 'argmin takes the first of equals',
    inputs: [exactly('f32', [2, 4], [7, 1, 1, 9, 3, 3, 3, 3])],
    f: (x) => argmin(x, 1),
  },
  { name: 'argmin u32', inputs: [exactly('u32', [3], [4e9, 7, 3e9])], f: (x) => argmin(x, 0) },
  { name: 'argmax u32', inputs: [exactly('u32', [3], [7, 4e9, 3e9])], f: (x) => argmax(x, 0) },
  { name: 'argmin f16', inputs: [halves([9])], f: (x) => argmin(x, 0) },
  { name: 'argmin i32', inputs: [integers([2, 5], -9, 9)], f: (x) => argmin(x, 1) },
  { name: 'argmax i32', inputs: [integers([2, 5], -9, 9)], f: (x) => argmax(x, 1) },
  {
    name: 'argmax of the first of those that are no numbers',
    inputs: [
      exactly('f32', [2, 4], [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN, 3, 5, Number.POSITIVE_INFINITY, 1]),
    ],
    f: (x) => argmax(x, 1),
  },
  {
    name: 'argmin of the first of those that are no numbers',
    inputs: [exactly('f32', [2, 4], [Number.NEGATIVE_INFINITY, 1, Number.NaN, 2, 3, 5, Number.NEGATIVE_INFINITY, 1])],
    f: (x) => argmin(x, 1),
  },
];
