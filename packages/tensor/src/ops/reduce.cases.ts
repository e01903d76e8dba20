import { type Case, exactly, floats, halves, integers } from '../../../../test-support/cases.ts';
import type { Tensor } from '../graph/tensor.ts';
import { argmax, argmin, max, mean, min, prod, sum } from './reduce.ts';

type Reduce = (x: Tensor, axes?: number | readonly number[], options?: { readonly keepDims?: boolean }) => Tensor;

const reduction = (name: string, f: Reduce): Case[] => [
  { name: `${name} over all axes`, inputs: [floats([2, 3, 4])], f: (x) => f(x) },
  { name: `${name} over the last axis`, inputs: [floats([3, 5])], f: (x) => f(x, -1) },
  { name: `${name} over the first axis, kept`, inputs: [floats([4, 3])], f: (x) => f(x, 0, { keepDims: true }) },
  { name: `${name} over two axes apart`, inputs: [floats([2, 3, 4])], f: (x) => f(x, [0, -1]) },
  { name: `${name} over an axis of one`, inputs: [floats([3, 1])], f: (x) => f(x, 1) },
  { name: `${name} of a scalar`, inputs: [floats([])], f: (x) => f(x) },
  { name: `${name} over a long axis`, inputs: [floats([2, 700])], f: (x) => f(x, 1), gradient: false },
  { name: `${name} f16`, inputs: [halves([3, 8])], f: (x) => f(x, 1) },
  { name: `${name} without rows`, inputs: [floats([0, 3])], f: (x) => f(x, 1) },
];

const wholeReduction = (name: string, f: Reduce): Case[] => [
  { name: `${name} i32`, inputs: [integers([3, 4], -50, 50)], f: (x) => f(x, 0) },
  { name: `${name} u32`, inputs: [integers([3, 4], 0, 90, 'u32')], f: (x) => f(x, 1) },
];

export const reduceCases: readonly Case[] = [
  ...reduction('sum', sum),
  ...wholeReduction('sum', sum),
  { name: 'sum over an empty axis', inputs: [floats([2, 0])], f: (x) => sum(x, 1) },
  ...reduction('mean', mean),
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
  ...reduction('prod', prod),
  { name: 'prod i32', inputs: [integers([3, 4], -5, 5)], f: (x) => prod(x, 0) },
  { name: 'prod u32', inputs: [integers([3, 4], 1, 9, 'u32')], f: (x) => prod(x, 1) },
  {
    name: 'prod with zeros',
    inputs: [exactly('f32', [3, 3], [2, 0, -3, 0, 5, 0, 1.5, -2, 4])],
    f: (x) => prod(x, 1),
  },
  { name: 'prod over an empty axis', inputs: [floats([2, 0])], f: (x) => prod(x, 1), gradient: false },
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
];
