import { afterAll, describe, expect, test } from 'vitest';
import { isHeddleError } from '../checks/errors.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { conv1d, conv2d } from './convolution/convolution.ts';
import { eye, linspace, oneHot, tril } from './create/construction.ts';
import { arange, full } from './create/creation.ts';
import { dropout } from './create/dropout.ts';
import { foldKey, randomBits, randomKey, randomNormal, randomUniform } from './create/random.ts';
import { einsum } from './einsum.ts';
import { gelu, relu, softplus } from './elementwise/activation.ts';
import { bitAnd, shiftLeft } from './elementwise/bitwise.ts';
import { erf } from './elementwise/erf.ts';
import { expm1 } from './elementwise/exponential.ts';
import { clip } from './elementwise/rounding.ts';
import { embedding, scatterAdd, take } from './indexing/gather.ts';
import { indexSelect, maskedFill, scatterAddAlongAxis, takeAlongAxis } from './indexing/indexing.ts';
import { sort, topK } from './indexing/sort.ts';
import { repeat, roll, split, squeeze, stack, tile } from './movement/arrange.ts';
import { concat } from './movement/concat.ts';
import { expand, reshape } from './movement/movement.ts';
import { pad, slice } from './movement/slice.ts';
import { crossEntropy, linear } from './nn.ts';
import { cumsum } from './reduce/cumsum.ts';
import { argmax, argmin } from './reduce/extremum.ts';
import { all, any, logSumExp, variance } from './reduce/statistics.ts';
import { linearCrossEntropy } from './rows/loss.ts';
import { groupNorm, layerNorm } from './rows/normalization.ts';
import { rmsNorm } from './rows/rms-norm.ts';

const device: Device = await openReference();
afterAll(() => device.dispose());

const f = (...shape: number[]): Tensor => device.zeros(shape);
const i = (...shape: number[]): Tensor => device.zeros(shape, 'i32');
const b = (...shape: number[]): Tensor => device.zeros(shape, 'bool');

/** A mistake, the code of its error, and what the message must tell. */
const mistakes: readonly (readonly [() => unknown, string, string])[] = [
  [() => relu(undefined as never), 'ERR_ARGUMENT', 'relu: input 0 must be a tensor, got undefined'],
  [() => f(2).sub(undefined as never), 'ERR_ARGUMENT', 'sub: operand 1 must be a tensor or a number, got undefined'],
  [() => f(2).add('1' as never), 'ERR_ARGUMENT', 'add: operand 1 must be a tensor or a number, got the string 1'],
  [() => f(2).mul([1] as never), 'ERR_ARGUMENT', 'mul: operand 1 must be a tensor or a number, got Array'],
  [() => i(2).add(0.5), 'ERR_DTYPE', 'add: 0.5 is no i32'],
  [() => i(2).less(2 ** 31), 'ERR_DTYPE', 'less: 2147483648 is no i32'],
  [() => device.zeros([2], 'u32').sub(-1), 'ERR_DTYPE', 'sub: -1 is no u32'],
  [() => maskedFill(i(2), b(2), -Infinity), 'ERR_DTYPE', '-Infinity is no i32'],
  [() => full(device, [2], 'a' as never), 'ERR_ARGUMENT', 'full: value must be a number, got the string a'],
  [() => device.full([2], undefined as never), 'ERR_ARGUMENT', 'full: value must be a number, got undefined'],
  [() => full(device, [2], Number.NaN, 'i32'), 'ERR_DTYPE', 'full: NaN is no i32'],
  [() => f(-1), 'ERR_SHAPE', 'zeros: sizes must be whole numbers from 0, got [-1]'],
  [() => f(1.5), 'ERR_SHAPE', 'zeros: sizes must be whole numbers from 0, got [1.5]'],
  [() => device.zeros([2], 'f64' as never), 'ERR_DTYPE', 'zeros: dtypes are f32, f16, i32,'],
  [() => f(2).cast('f64' as never), 'ERR_DTYPE', 'got f64'],
  [() => arange(device, -1), 'ERR_SHAPE', 'arange: sizes must be whole numbers from 0, got [-1]'],
  [() => arange(device, 3, 'bool'), 'ERR_DTYPE', 'arange: takes f32, f16, i32 or u32, got bool'],
  [() => eye(device, -1), 'ERR_SHAPE', 'eye: sizes must be whole numbers from 0, got [-1, -1]'],
  [() => randomBits(device, [-2, -3], 1), 'ERR_SHAPE', 'randomBits: sizes must be whole numbers from 0, got [-2, -3]'],
  [() => oneHot(i(2), -3), 'ERR_SHAPE', 'oneHot: sizes must be whole numbers from 0, got [-3]'],
  [() => rmsNorm(f(), f()), 'ERR_SHAPE', 'rmsNorm: takes at least one axis, got a scalar'],
  [() => device.tensor([1], { dtype: 'f64' as never }), 'ERR_DTYPE', 'tensor: dtypes are f32, f16, i32,'],
  [() => device.tensor([1], { shape: [-1] }), 'ERR_SHAPE', 'tensor: sizes must be whole numbers from 0, got [-1]'],
  [() => device.zeroVariable([-1]), 'ERR_SHAPE', 'zeroVariable: sizes must be whole numbers from 0, got [-1]'],
  [() => device.variable([1]).assign(3 as never), 'ERR_ARGUMENT', 'assign: variable takes a tensor, got the number 3'],
  [
    () => device.variable([1]).scatter([0] as never, f(1)),
    'ERR_ARGUMENT',
    'scatter: variable takes a tensor, got Array',
  ],
  [() => device.tensor(null as never), 'ERR_ARGUMENT', 'tensor: takes numbers, booleans,'],
  [() => device.tensor(['1'] as never), 'ERR_ARGUMENT', 'got the string 1'],
  [() => reshape(f(2, 3), [-2, -3]), 'ERR_SHAPE', 'reshape: sizes must be whole numbers from 0, got [-2, -3]'],
  [() => reshape(f(2, 3), [-1, -1]), 'ERR_SHAPE', 'reshape: one size may be -1, got [2, 3] to [-1, -1]'],
  [() => expand(f(1), [1.5]), 'ERR_SHAPE', 'expand: sizes must be whole numbers from 0, got [1.5]'],
  [() => slice(f(4), 0, 0.5), 'ERR_SHAPE', 'slice: start and end must be whole numbers, got 0.5'],
  [() => slice(f(4), 0, Number.NaN), 'ERR_SHAPE', 'slice: start and end must be whole numbers, got NaN'],
  [() => slice(f(4), 0, 3, 0, 0), 'ERR_SHAPE', 'slice: the step must be an integer other than 0, got 0'],
  [() => slice(f(4), 0, 4, 0, -1), 'ERR_SHAPE', 'slice: from 4 down to 0 by -1 does not lie inside axis 0 of [4]'],
  [() => slice(f(4), 0, 1, 3, -1), 'ERR_SHAPE', 'slice: from 1 down to 3 by -1'],
  [() => pad(f(3), [-1], [1]), 'ERR_SHAPE', 'pad: sizes must be whole numbers from 0, got [-1]'],
  [() => split(f(6), [-1, 7]), 'ERR_SHAPE', 'split: sizes must be whole numbers from 0, got [-1, 7]'],
  [() => concat([f(2, 3)], 2), 'ERR_SHAPE', 'concat: axis must be an integer in [-2, 1] for rank 2, got 2'],
  [
    () => gelu(f(2), { approximate: 'erf' as never }),
    'ERR_ARGUMENT',
    'gelu: approximate must be none or tanh, got erf',
  ],
  [() => argmax(f(2, 0), 1), 'ERR_SHAPE', 'argmax: axis 1 of [2, 0] has no values'],
  [() => take(f(0, 2), i(3)), 'ERR_SHAPE', 'take: axis 0 of [0, 2] has nothing to take for [3] indices'],
  [() => embedding(f(3), i(2)), 'ERR_SHAPE', 'embedding: takes a table [V, E], got [3]'],
  [
    () => linear(f(2, 3), f(3, 2)),
    'ERR_SHAPE',
    'linear: takes x [..., In] and a weight [Out, In], got [2, 3] and [3, 2]',
  ],
  [() => linear(f(2, 3), f(1, 4, 3)), 'ERR_SHAPE', 'got [2, 3] and [1, 4, 3]'],
  [() => linear(f(2, 3), f(4, 3), f(2, 4)), 'ERR_SHAPE', 'linear: the bias must be [4], got [2, 4]'],
  [
    () => crossEntropy(f(2, 3), f(2)),
    'ERR_DTYPE',
    'crossEntropy: takes f32 or f16 logits and i32 targets, got f32 and f32',
  ],
  [() => relu(i(2)), 'ERR_DTYPE', 'relu: operands must be float, got i32'],
  [() => gelu(i(2)), 'ERR_DTYPE', 'gelu: takes f32 or f16, got i32'],
  [() => softplus(b(2)), 'ERR_DTYPE', 'softplus: takes f32 or f16, got bool'],
  [() => erf(i(2)), 'ERR_DTYPE', 'erf: takes f32 or f16, got i32'],
  [() => expm1(i(2)), 'ERR_DTYPE', 'expm1: takes f32 or f16, got i32'],
  [() => clip(b(2), 0, 1), 'ERR_DTYPE', 'clip: takes numbers, got bool'],
  [() => clip(i(2), 0.5), 'ERR_DTYPE', 'clip: 0.5 is no i32'],
  [() => scatterAdd(2, i(3), b(3)), 'ERR_DTYPE', 'scatterAdd: takes numbers, got bool; cast it'],
  [() => scatterAddAlongAxis(4, i(2), b(2), 0), 'ERR_DTYPE', 'scatterAddAlongAxis: takes numbers, got bool; cast it'],
  [() => clip(f(2), 2, 1), 'ERR_ARGUMENT', 'got 2 and 1'],
  [() => bitAnd(f(2), 1), 'ERR_DTYPE', 'bitAnd: operands must be integer, got f32'],
  [() => shiftLeft(i(2), 1), 'ERR_DTYPE', 'shiftLeft: operands must be u32, got i32'],
  [() => stack([f(2), f(3)]), 'ERR_SHAPE', 'stack: shapes must agree, got [2] and [3]'],
  [() => stack([]), 'ERR_ARGUMENT', 'stack: takes at least one tensor'],
  [() => split(f(5), 2), 'ERR_SHAPE', 'split: axis 0 of [5] does not divide into 2 equal parts'],
  [() => split(f(5), [1, 2]), 'ERR_SHAPE', 'split: parts of [1, 2] do not make up axis 0 of [5]'],
  [() => squeeze(f(2, 1), 0), 'ERR_SHAPE', 'squeeze: axis 0 must have size 1, got [2, 1]'],
  [() => tile(f(2), [-1]), 'ERR_ARGUMENT', 'tile: takes whole numbers from 0, got -1'],
  [() => repeat(f(2), 1.5, 0), 'ERR_ARGUMENT', 'repeat: takes whole numbers from 0, got 1.5'],
  [() => roll(f(2), 0.5, 0), 'ERR_ARGUMENT', 'roll: the shift must be a whole number, got 0.5'],
  [() => roll(f(2), 1, 1), 'ERR_SHAPE', 'roll: axis must be an integer in [-1, 0] for rank 1, got 1'],
  [
    () => eye(device, 2, 2, { diagonal: 0.5 }),
    'ERR_ARGUMENT',
    'eye: the diagonal must be a whole number of 32 bits, got 0.5',
  ],
  [() => linspace(device, 0, 1, 0), 'ERR_ARGUMENT', 'linspace: the count must be a positive integer, got 0'],
  [() => oneHot(f(2), 3), 'ERR_DTYPE', 'oneHot: indices must be i32, got f32'],
  [() => tril(f(3)), 'ERR_SHAPE', 'tril: takes at least two axes, got [3]'],
  [
    () => takeAlongAxis(f(2, 3), i(2), 0),
    'ERR_SHAPE',
    'takeAlongAxis: indices must have the 2 axes of [2, 3], got [2]',
  ],
  [() => takeAlongAxis(f(2, 3), f(2, 3), 0), 'ERR_DTYPE', 'takeAlongAxis: indices must be i32, got f32'],
  [() => takeAlongAxis(f(2, 3), i(3, 3), 1), 'ERR_SHAPE', 'takeAlongAxis: shapes must broadcast'],
  [() => scatterAddAlongAxis(4, i(2, 3), f(2, 2), 1), 'ERR_SHAPE', 'got [2, 3] and [2, 2]'],
  [() => indexSelect(f(2), i(1, 1), 0), 'ERR_SHAPE', 'indexSelect: indices must be [N], got [1, 1]'],
  [() => maskedFill(f(2), f(2), 0), 'ERR_DTYPE', 'maskedFill: the mask must be bool, got f32'],
  [() => maskedFill(f(2), b(3, 2), 0), 'ERR_SHAPE', 'maskedFill: the mask must broadcast to [2], got [3, 2]'],
  [() => argmin(f(2), 1), 'ERR_SHAPE', 'argmin: axis must be an integer in [-1, 0] for rank 1, got 1'],
  [() => variance(i(2)), 'ERR_DTYPE', 'variance: takes f32 or f16, got i32'],
  [() => variance(f(2), 0, { correction: Number.NaN }), 'ERR_ARGUMENT', 'variance: correction must be a number'],
  [() => logSumExp(i(2)), 'ERR_DTYPE', 'logSumExp: takes f32 or f16, got i32'],
  [() => any(f(2)), 'ERR_DTYPE', 'any: takes bool, got f32'],
  [() => all(i(2)), 'ERR_DTYPE', 'all: takes bool, got i32'],
  [() => cumsum(f(2), 2), 'ERR_SHAPE', 'cumsum: axis must be an integer'],
  [() => cumsum(f(2), -2), 'ERR_SHAPE', 'cumsum: axis must be an integer in [-1, 0] for rank 1, got -2'],
  [() => sort(b(2)), 'ERR_DTYPE', 'sort: takes numbers, got bool'],
  [() => topK(f(2, 3), 4), 'ERR_SHAPE', 'topK: axis 1 of [2, 3] has fewer than 4 values'],
  [() => topK(f(2, 3), -1), 'ERR_ARGUMENT', 'topK: the number of values must be a whole number from 0, got -1'],
  [() => einsum('ij,jk->ik', f(2, 3)), 'ERR_ARGUMENT', "einsum: 'ij,jk->ik': names 2 operands, got 1"],
  [() => einsum('ij->ik', f(2, 3)), 'ERR_ARGUMENT', "no operand has the axis 'k' of the result"],
  [() => einsum('i->', f(2, 3)), 'ERR_ARGUMENT', "'i' does not name the axes of [2, 3]"],
  [() => einsum('i1->i', f(2, 3)), 'ERR_ARGUMENT', "expected letters and at most one '...', got 'i1'"],
  [() => einsum('ij,jk->ik', f(2, 3), f(4, 2)), 'ERR_SHAPE', 'axis j has sizes 3 and 4'],
  [() => einsum('i->i', i(2)), 'ERR_DTYPE', 'einsum: takes f32 or f16, got i32'],
  [
    () => layerNorm(f(2, 3), f(2)),
    'ERR_SHAPE',
    'layerNorm: weight and bias must be [E] for x [..., E], got [2] for [2, 3]',
  ],
  [() => layerNorm(f(2, 3), undefined, f(3)), 'ERR_ARGUMENT', 'layerNorm: a bias needs a weight'],
  [() => groupNorm(f(2, 6, 4), 4), 'ERR_SHAPE', 'groupNorm: 6 channels of [2, 6, 4] do not divide into 4 groups'],
  [() => groupNorm(f(2, 6), 2, f(3)), 'ERR_SHAPE', 'groupNorm: weight and bias must be [6], got [3]'],
  [() => dropout(f(2), 1.5, 3), 'ERR_ARGUMENT', 'dropout: the rate must be in [0, 1], got 1.5'],
  [() => slice(f(4), 0, 1, 5), 'ERR_SHAPE', 'slice: [1, 5) does not lie inside axis 0 of [4]'],
  [() => foldKey(7 as never, 1), 'ERR_ARGUMENT', 'foldKey: two numbers are on no device, got 7 and 1'],
  [
    () => randomBits(device, [2], undefined as never),
    'ERR_ARGUMENT',
    'randomBits: the key must be a number or u32 [2], got undefined',
  ],
  [
    () => randomUniform(device, [2], 1, { low: 0, high: 1e39 }),
    'ERR_ARGUMENT',
    'randomUniform: the limits must be numbers that f32 holds, got 1e+39',
  ],
  [
    () => randomUniform(device, [2], 1, { low: 1.00001, high: 1.00002, dtype: 'f16' }),
    'ERR_ARGUMENT',
    'randomUniform: f16 has no value from',
  ],
  [() => dropout(i(2), 0.5, 3), 'ERR_DTYPE', 'dropout: takes f32 or f16, got i32'],
  [
    () => randomKey(device, -1),
    'ERR_ARGUMENT',
    'randomKey: the seed must be a whole number from 0 to 2^53 - 1, got -1',
  ],
  [() => randomBits(device, [2], i(2)), 'ERR_DTYPE', 'randomBits: the key must be a number or u32 [2], got i32 [2]'],
  [() => foldKey(randomKey(device, 1), f()), 'ERR_DTYPE', 'foldKey: the salt must be i32 or u32, got f32'],
  [() => foldKey(randomKey(device, 1), i(2)), 'ERR_SHAPE', 'foldKey: the salt must be a scalar, got [2]'],
  [
    () => randomUniform(device, [2], 1, { low: 2 }),
    'ERR_ARGUMENT',
    'randomUniform: low must be below high, got 2 and 1',
  ],
  [
    () => randomNormal(device, [2], 1, { dtype: 'i32' }),
    'ERR_DTYPE',
    'randomNormal: dtype must be f32 or f16, got i32',
  ],
  [() => conv1d(f(1, 2, 3), f(2, 3, 2)), 'ERR_SHAPE', 'conv1d: with 1 groups the weight must be'],
  [
    () => conv1d(f(2, 3), f(2, 3, 2)),
    'ERR_SHAPE',
    'conv1d: takes x [N, C, L] and a weight of 3 axes, got [2, 3] and [2, 3, 2]',
  ],
  [
    () => conv1d(f(1, 2, 3), f(2, 2, 5)),
    'ERR_SHAPE',
    'conv1d: a window that reaches over 5 values does not fit in [3]',
  ],
  [() => conv2d(f(1, 2, 3, 3), f(2, 2, 1, 1), { stride: 0 }), 'ERR_ARGUMENT', 'conv2d: stride, dilation and groups'],
  [
    () => conv2d(f(1, 2, 3, 3), f(2, 2, 1, 1), { padding: -1 }),
    'ERR_ARGUMENT',
    'conv2d: padding must be of whole numbers',
  ],
  [() => conv2d(f(1, 2, 3, 3), f(2, 2, 1, 1), { bias: f(3) }), 'ERR_SHAPE', 'conv2d: the bias must be [2], got [3]'],
  [() => conv2d(i(1, 2, 3, 3), f(2, 2, 1, 1)), 'ERR_DTYPE', 'conv2d: takes f32 or f16, got i32 and f32'],
  [
    () => crossEntropy(f(2, 3), i(3)),
    'ERR_SHAPE',
    'crossEntropy: takes logits [..., V] and targets [...], got [2, 3] and [3]',
  ],
  [
    () => crossEntropy(f(2, 3), i(2), { labelSmoothing: 2 }),
    'ERR_ARGUMENT',
    'crossEntropy: labelSmoothing must be in [0, 1], got 2',
  ],
  [() => linearCrossEntropy(f(2, 3), f(5, 4), i(2)), 'ERR_SHAPE', 'got [2, 3], [5, 4] and [2]'],
  [
    () => linearCrossEntropy(f(2, 3), f(5, 3), i(3)),
    'ERR_SHAPE',
    'linearCrossEntropy: takes targets [...] for x [..., E]',
  ],
  [() => linearCrossEntropy(f(2, 3), f(5, 3), f(2)), 'ERR_DTYPE', 'linearCrossEntropy: takes floats and i32 targets'],
  [
    () => linearCrossEntropy(f(2, 3), f(5, 3), i(2), { chunkRows: 0 }),
    'ERR_ARGUMENT',
    'chunkRows must be a positive integer, got 0',
  ],
];

describe('mistakes throw when they are recorded, with the operation and what came', () => {
  test.each(mistakes.map(([record, code, message]) => ({ record, code, message })))(
    '$message',
    ({ record, code, message }) => {
      let caught: unknown;
      try {
        record();
      } catch (error) {
        caught = error;
      }
      expect(isHeddleError(caught, code), String(caught)).toBe(true);
      expect((caught as Error).message).toContain(message);
    },
  );
});
