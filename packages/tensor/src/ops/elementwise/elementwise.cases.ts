import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import type { Tensor } from '../../graph/tensor.ts';
import * as ops from './elementwise.ts';

const infinity = Number.POSITIVE_INFINITY;

/** Values at which both executors must agree exactly, among them no ties of rounding. */
const special = exactly('f32', [5], [0, -1.5, infinity, -infinity, Number.NaN]);

type Unary = (x: Tensor) => Tensor;
type Binary = (a: Tensor, b: Tensor) => Tensor;

/** A unary operation over floats of both sizes, on the part of the axis where it is defined. */
const unary = (name: string, f: Unary, low = -3, high = 3, tolerance?: number): Case[] => [
  { name: `${name} f32`, inputs: [floats([3, 5], low, high)], f, ...(tolerance ? { tolerance } : {}) },
  { name: `${name} f16`, inputs: [halves([7], low, high)], f },
];

const arithmetic = (name: string, f: Binary, low = -3): Case[] => [
  { name: `${name} f32`, inputs: [floats([2, 3], low, 3), floats([2, 3], low, 3, 1)], f },
  { name: `${name} broadcasts`, inputs: [floats([2, 1, 3], low, 3), floats([4, 1], low, 3)], f },
  { name: `${name} with a scalar`, inputs: [floats([3], low, 3), floats([], low, 3)], f },
  { name: `${name} f16`, inputs: [halves([5], low, 3), halves([5], low, 3, 1)], f },
];

const whole = (name: string, f: Binary): Case[] => [
  { name: `${name} i32`, inputs: [integers([3, 4], -50, 50), integers([4], 1, 9)], f },
  { name: `${name} u32`, inputs: [integers([7], 0, 90, 'u32'), integers([7], 1, 9, 'u32', 1)], f },
];

export const elementwiseCases: readonly Case[] = [
  ...arithmetic('add', ops.add),
  ...whole('add', ops.add),
  { name: 'add promotes', inputs: [integers([3], 0, 9), floats([3])], f: ops.add },
  { name: 'add takes numbers', inputs: [floats([3])], f: (x) => ops.add(1.5, x) },
  { name: 'add of nothing', inputs: [floats([0, 3]), floats([3])], f: ops.add },
  ...arithmetic('sub', ops.sub),
  ...whole('sub', ops.sub),
  { name: 'sub wraps u32', inputs: [exactly('u32', [2], [1, 5])], f: (x) => ops.sub(x, 3), gradient: false },
  ...arithmetic('mul', ops.mul),
  ...whole('mul', ops.mul),
  { name: 'mul wraps i32', inputs: [exactly('i32', [2], [2147483647, -65537])], f: (x) => ops.mul(x, x) },
  { name: 'mul wraps u32', inputs: [exactly('u32', [2], [4294967295, 65537])], f: (x) => ops.mul(x, x) },
  ...arithmetic('div', ops.div, 0.5),
  ...whole('div', ops.div),
  { name: 'div by zero', inputs: [exactly('f32', [3], [1, -1, 0])], f: (x) => ops.div(x, 0), gradient: false },
  {
    name: 'div i32 towards zero',
    inputs: [exactly('i32', [4], [7, -7, 7, -7]), exactly('i32', [4], [2, 2, -2, -2])],
    f: ops.div,
  },
  { name: 'div i32 by zero', inputs: [exactly('i32', [3], [1, -1, 0])], f: (x) => ops.div(x, 0) },
  {
    name: 'div i32 that overflows',
    inputs: [exactly('i32', [2], [-2147483648, 8]), exactly('i32', [2], [-1, 0])],
    f: ops.div,
  },
  { name: 'div u32 by zero', inputs: [exactly('u32', [2], [4e9, 3]), exactly('u32', [2], [3, 0])], f: ops.div },
  ...arithmetic('pow', ops.pow, 0.25),
  { name: 'pow of negative bases', inputs: [exactly('f32', [3], [-2, -0.5, 3])], f: (x) => ops.pow(x, 3) },
  ...arithmetic('maximum', ops.maximum),
  ...whole('maximum', ops.maximum),
  ...arithmetic('minimum', ops.minimum),
  ...whole('minimum', ops.minimum),
  ...unary('square', ops.square),
  { name: 'square i32', inputs: [exactly('i32', [2], [-3, 65536])], f: ops.square, expected: [9, 0] },
  {
    name: 'maximum of equal values',
    inputs: [exactly('f32', [3], [2, 3, 1]), exactly('f32', [3], [2, 1, 3])],
    f: ops.maximum,
    expected: [2, 3, 3],
    gradient: false,
  },
  ...unary('neg', ops.neg),
  { name: 'neg i32', inputs: [integers([4], -9, 9)], f: ops.neg },
  ...unary('abs', ops.abs),
  { name: 'abs u32', inputs: [exactly('u32', [2], [0, 4e9])], f: ops.abs },
  { name: 'abs i32', inputs: [integers([4], -9, 9)], f: ops.abs },
  ...unary('sign', ops.sign),
  { name: 'sign i32', inputs: [integers([5], -2, 2)], f: ops.sign },
  ...unary('floor', ops.floor),
  ...unary('exp', ops.exp),
  { name: 'exp of special values', inputs: [special], f: ops.exp, gradient: false },
  ...unary('log', ops.log, 0.1, 3),
  ...unary('sqrt', ops.sqrt, 0.1, 3),
  ...unary('rsqrt', ops.rsqrt, 0.1, 3),
  ...unary('sin', ops.sin),
  ...unary('cos', ops.cos),
  ...unary('tanh', ops.tanh),
  { name: 'tanh far out', inputs: [exactly('f32', [4], [-200, 200, 1e-4, 0])], f: ops.tanh },
  ...unary('sigmoid', ops.sigmoid),
  {
    name: 'tanh between',
    inputs: [exactly('f32', [9], [0.2, 0.2999, 0.3, -0.3001, 0.5, 1, -2.5, 9, 14.9])],
    f: ops.tanh,
  },
  { name: 'tanh near 0', inputs: [exactly('f32', [4], [1e-6, -3e-5, 1e-4, 2e-4])], f: ops.tanh },
  { name: 'sigmoid far out', inputs: [exactly('f32', [3], [-200, 200, 0])], f: ops.sigmoid },
];
