import { type Case, exactly } from '../../../../test-support/cases.ts';
import type { Tensor } from '../graph/tensor.ts';
import { gelu, relu, silu, softplus } from './elementwise/activation.ts';
import { bitAnd, bitOr, bitXor, shiftLeft, shiftRight } from './elementwise/bitwise.ts';
import { cast, dequantize } from './elementwise/cast.ts';
import { and, equal, greater, greaterEqual, isNan, less, lessEqual, not, or } from './elementwise/comparison.ts';
import * as of from './elementwise/elementwise.ts';
import { erf } from './elementwise/erf.ts';
import { expm1, log1p } from './elementwise/exponential.ts';
import { round } from './elementwise/rounding.ts';
import { where } from './elementwise/where.ts';

const [a, b] = [exactly('f32', [3], [-2, 0.5, 3]), exactly('f32', [3], [4, 0.5, -1])];
const [low, high] = [exactly('u32', [2], [6, 1]), exactly('u32', [2], [3, 5])];
const [no, yes] = [exactly('bool', [3], [0, 0, 1]), exactly('bool', [3], [0, 1, 1])];

/** A case of one operand a, -2, 0.5, 3 where no other is named. */
const one = (name: string, f: (x: Tensor) => Tensor, expected: readonly number[], x = a): Case => ({
  name: `${name} of known values`,
  inputs: [x],
  f,
  gradient: false,
  expected,
});
/** A case of a and b. */
const two = (
  name: string,
  f: (x: Tensor, y: Tensor) => Tensor,
  expected: readonly number[],
  operands: Extract<Case, { inputs: unknown }>['inputs'] = [a, b],
): Case => ({
  name: `${name} of known values`,
  inputs: operands,
  f,
  gradient: false,
  expected,
});
const by = (f: (x: number) => number) => [-2, 0.5, 3].map(f);
const positive = exactly('f32', [2], [0.25, 4]);

export const knownElementwiseCases: readonly Case[] = [
  two('add', of.add, [2, 1, 2]),
  two('sub', of.sub, [-6, 0, 4]),
  two('mul', of.mul, [-8, 0.25, -3]),
  two('div', of.div, [-0.5, 1, -3]),
  two('pow', of.pow, [16, Math.SQRT1_2, 1 / 3]),
  two('minimum', of.minimum, [-2, 0.5, -1]),
  two('maximum', of.maximum, [4, 0.5, 3]),
  one('neg', of.neg, [2, -0.5, -3]),
  one('abs', of.abs, [2, 0.5, 3]),
  one('sign', of.sign, [-1, 1, 1]),
  one('floor', of.floor, [-2, 0, 3]),
  one('exp', of.exp, by(Math.exp)),
  one('log', of.log, [-1.3862944, 1.3862944], positive),
  one('sqrt', of.sqrt, [0.5, 2], positive),
  one('rsqrt', of.rsqrt, [2, 0.5], positive),
  one('sin', of.sin, by(Math.sin)),
  one('cos', of.cos, by(Math.cos)),
  one('tanh', of.tanh, by(Math.tanh)),
  one(
    'sigmoid',
    of.sigmoid,
    by((x) => 1 / (1 + Math.exp(-x))),
  ),
  two('where', (x, y) => where(x.less(y), x, 9), [-2, 9, 9]),
  one('relu', relu, [0, 0.5, 3]),
  one('gelu', (x) => gelu(x), [-0.0455003, 0.3457312, 2.9959502]),
  one(
    'silu',
    silu,
    by((x) => x / (1 + Math.exp(-x))),
  ),
  one(
    'softplus',
    softplus,
    by((x) => Math.log1p(Math.exp(x))),
  ),
  one('erf', erf, [-0.9953223, 0.5204999, 0.9999779]),
  one('expm1', expm1, by(Math.expm1)),
  one('log1p', log1p, [Math.log1p(0.25), Math.log1p(4)], positive),
  one('round', round, [-2, 0, 2, 2], exactly('f32', [4], [-2.5, 0.5, 1.5, 2.4])),
  one('cast to i32', (x) => cast(x, 'i32'), [-2, 0, 3]),
  one('dequantize', (x) => dequantize(x), [1.5, -2], exactly('bf16', [2], [1.5, -2])),
  two('equal', equal, [0, 1, 0]),
  two('less', less, [1, 0, 0]),
  two('lessEqual', lessEqual, [1, 1, 0]),
  two('greater', greater, [0, 0, 1]),
  two('greaterEqual', greaterEqual, [0, 1, 1]),
  two('and', and, [0, 0, 1], [no, yes]),
  two('or', or, [0, 1, 1], [no, yes]),
  one('not', not, [1, 1, 0], no),
  one('isNan', isNan, [1, 0], exactly('f32', [2], [Number.NaN, 1])),
  two('bitAnd', bitAnd, [2, 1], [low, high]),
  two('bitOr', bitOr, [7, 5], [low, high]),
  two('bitXor', bitXor, [5, 4], [low, high]),
  two('shiftLeft', (x) => shiftLeft(x, 2), [24, 4], [low]),
  two('shiftRight', (x) => shiftRight(x, 1), [3, 0], [low]),
];
