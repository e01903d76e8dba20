import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { reduction, wholeReduction } from '../../../../../test-support/reduction-cases.ts';
import { grad } from '../../autograd/grad.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { argmax, argmin, max, min } from './extremum.ts';

/** Values whose tenths f16 has to round. */
const computed = exactly('f16', [5], [1, 3, 2, -1, 0.5]);

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
  { name: 'argmax of computed f16', inputs: [computed], f: (x) => argmax(x.mul(0.1), 0) },
  {
    name: 'max of computed f16 has its gradient',
    inputs: [computed],
    f: (x) => grad((y: Tensor) => max(y.mul(0.1)))(x)[0],
  },
  {
    name: 'min of more f16 than f16 counts shares its gradient',
    inputs: [exactly('f16', [1], [1])],
    f: (x) => grad((y: Tensor) => min(y).mul(30_000))(x.expand([70_000]))[0].slice(0, 0, 2),
  },
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
