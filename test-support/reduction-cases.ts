import type { Tensor } from '@heddle/tensor';
import { type Case, floats, halves, integers } from './cases.ts';

type Reduce = (x: Tensor, axes?: number | readonly number[], options?: { readonly keepDims?: boolean }) => Tensor;

/** What every reduction of floats is tested with. */
export const reduction = (name: string, f: Reduce): Case[] => [
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

/** What every reduction of whole numbers is tested with. */
export const wholeReduction = (name: string, f: Reduce): Case[] => [
  { name: `${name} i32`, inputs: [integers([3, 4], -50, 50)], f: (x) => f(x, 0) },
  { name: `${name} u32`, inputs: [integers([3, 4], 0, 90, 'u32')], f: (x) => f(x, 1) },
];
