import { type Case, exactly, type OperationCase } from '../../../../test-support/cases.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv1d, conv2d } from './convolution/convolution.ts';
import { avgPool2d, maxPool2d } from './convolution/pooling.ts';
import { convTranspose2d } from './convolution/transposed.ts';
import { eye, linspace, oneHot, tril, triu } from './create/construction.ts';
import { arange, full, sizeScalar } from './create/creation.ts';
import { routedExperts } from './experts/routed-experts.ts';
import { routeTokens } from './experts/routing.ts';
import { embedding, scatterAdd, take } from './indexing/gather.ts';
import { indexSelect, maskedFill, scatterAddAlongAxis, takeAlongAxis } from './indexing/indexing.ts';
import { sort, topK } from './indexing/sort.ts';
import { matmul } from './matmul/matmul.ts';
import { repeat, roll, split, squeeze, stack, tile, unsqueeze } from './movement/arrange.ts';
import { concat } from './movement/concat.ts';
import { identity, stopGradient } from './movement/identity.ts';
import { expand, flatten, permute, reshape, transpose } from './movement/movement.ts';
import { pad } from './movement/slice.ts';
import { crossEntropy, linear } from './nn.ts';
import { argmax, argmin, max, min } from './reduce/extremum.ts';
import { all, any, logSumExp } from './reduce/statistics.ts';
import { linearCrossEntropy } from './rows/loss.ts';
import { groupNorm, layerNorm } from './rows/normalization.ts';
import { rmsNorm } from './rows/rms-norm.ts';
import { logSoftmax, softmax } from './rows/softmax.ts';

const v = (...values: number[]) => exactly('f32', [values.length], values);
const ints = (...values: number[]) => exactly('i32', [values.length], values);
/** 0, 1, 2, ... */
const counted = (...shape: number[]) => exactly('f32', shape, [...Array(shape.reduce((a, b) => a * b)).keys()]);
const bools = (...values: number[]) => exactly('bool', [values.length], values);

/** A case of values that were worked out by hand or with NumPy. */
const known = (
  name: string,
  inputs: OperationCase['inputs'],
  f: (...inputs: Tensor[]) => Tensor,
  expected: readonly number[],
): Case => ({ name: `${name} of known values`, inputs, f, gradient: false, expected });

/** What moves, takes, joins and makes values. */
const moved: readonly Case[] = [
  { name: 'eye of known values', create: (device) => eye(device, 2, 3), expected: [1, 0, 0, 0, 1, 0] },
  {
    name: 'linspace of known values',
    create: (device) => linspace(device, 1, 2, 5),
    expected: [1, 1.25, 1.5, 1.75, 2],
  },
  { name: 'full of known values', create: (device) => full(device, [2], 3, 'f32'), expected: [3, 3] },
  { name: 'arange of known values', create: (device) => arange(device, 4), expected: [0, 1, 2, 3] },
  { name: 'sizeScalar of known values', create: (device) => sizeScalar(device, 7), expected: [7] },
  known('oneHot', [ints(2, 0)], (x) => oneHot(x, 3), [0, 0, 1, 1, 0, 0]),
  known('tril', [counted(3, 3)], (x) => tril(x), [0, 0, 0, 3, 4, 0, 6, 7, 8]),
  known('triu', [counted(3, 3)], (x) => triu(x, 1), [0, 1, 2, 0, 0, 5, 0, 0, 0]),
  known('take', [counted(3, 2), ints(2, 0)], (x, i) => take(x, i), [4, 5, 0, 1]),
  known('embedding', [counted(3, 2), ints(1, 1)], (x, i) => embedding(x, i), [2, 3, 2, 3]),
  known('scatterAdd', [ints(1, 1, 0), counted(3, 2)], (i, x) => scatterAdd(2, i, x), [4, 5, 2, 4]),
  known('takeAlongAxis', [counted(2, 3), exactly('i32', [2, 1], [2, 0])], (x, i) => takeAlongAxis(x, i, 1), [2, 3]),
  known(
    'scatterAddAlongAxis',
    [exactly('i32', [1, 3], [1, 1, 0]), counted(1, 3)],
    (i, x) => scatterAddAlongAxis(2, i, x, 1),
    [2, 1],
  ),
  known('indexSelect', [counted(2, 3), ints(2, 0)], (x, i) => indexSelect(x, i, 1), [2, 0, 5, 3]),
  known('maskedFill', [v(1, 2), bools(0, 1)], (x, m) => maskedFill(x, m, -5), [1, -5]),
  known('sort', [v(3, 1, 2)], (x) => sort(x).values, [1, 2, 3]),
  known('sort', [v(3, 1, 2)], (x) => sort(x).indices, [1, 2, 0]),
  known('topK', [v(3, 1, 2)], (x) => topK(x, 2).values, [3, 2]),
  known('unsqueeze', [v(1, 2)], (x) => unsqueeze(x, 0), [1, 2]),
  known('squeeze', [exactly('f32', [1, 2], [1, 2])], (x) => squeeze(x, 0), [1, 2]),
  known('stack', [v(1, 2), v(3, 4)], (a, b) => stack([a!, b!], 1), [1, 3, 2, 4]),
  known('split', [counted(4)], (x) => split(x, 2)[1]!, [2, 3]),
  known('tile', [v(1, 2)], (x) => tile(x, [2]), [1, 2, 1, 2]),
  known('repeat', [v(1, 2)], (x) => repeat(x, 2, 0), [1, 1, 2, 2]),
  known('roll', [counted(4)], (x) => roll(x, 1, 0), [3, 0, 1, 2]),
  known('concat', [v(1, 2), v(3)], (a, b) => concat([a!, b!], 0), [1, 2, 3]),
  known('identity', [v(1, 2)], (x) => identity(x), [1, 2]),
  known('stopGradient', [v(1, 2)], (x) => stopGradient(x), [1, 2]),
  known('reshape', [counted(2, 3)], (x) => reshape(x, [3, 2]), [0, 1, 2, 3, 4, 5]),
  known('flatten', [counted(2, 2)], (x) => flatten(x), [0, 1, 2, 3]),
  known('permute', [counted(1, 2, 3)], (x) => permute(x, [2, 0, 1]), [0, 3, 1, 4, 2, 5]),
  known('transpose', [counted(2, 3)], (x) => transpose(x), [0, 3, 1, 4, 2, 5]),
  known('expand', [v(1, 2)], (x) => expand(x, [2, 2]), [1, 2, 1, 2]),
  known('pad', [v(1, 2)], (x) => pad(x, [1], [2]), [0, 1, 2, 0, 0]),
];

const [e1, e2, e3] = [1, 2, 3].map(Math.exp) as [number, number, number];
const sum = e1 + e2 + e3;
/** What computes over rows, windows and axes. */
const computed: readonly Case[] = [
  known('matmul', [counted(2, 2), counted(2, 3)], (a, b) => matmul(a!, b!), [3, 4, 5, 9, 14, 19]),
  known('linear', [v(1, 2), counted(3, 2), v(1, 1, 1)], (x, w, b) => linear(x!, w!, b), [3, 9, 15]),
  known(
    'conv1d',
    [exactly('f32', [1, 1, 4], [1, 2, 4, 8]), exactly('f32', [1, 1, 2], [1, 10])],
    (x, w) => conv1d(x!, w!),
    [21, 42, 84],
  ),
  known(
    'conv2d',
    [exactly('f32', [1, 1, 2, 3], [1, 2, 3, 4, 5, 6]), exactly('f32', [1, 1, 2, 2], [1, 10, 100, 1000])],
    (x, w) => conv2d(x!, w!),
    [5421, 6532],
  ),
  known(
    'convTranspose2d',
    [exactly('f32', [1, 1, 1, 2], [1, 10]), exactly('f32', [1, 1, 1, 2], [1, 2])],
    (x, w) => convTranspose2d(x!, w!),
    [1, 12, 20],
  ),
  known('maxPool2d', [exactly('f32', [1, 1, 2, 4], [1, 2, 3, 4, 8, 7, 6, 5])], (x) => maxPool2d(x, 2), [8, 6]),
  known('avgPool2d', [exactly('f32', [1, 1, 2, 4], [1, 2, 3, 4, 8, 7, 6, 5])], (x) => avgPool2d(x, 2), [4.5, 4.5]),
  known('max', [counted(2, 3)], (x) => max(x, 1), [2, 5]),
  known('min', [counted(2, 3)], (x) => min(x, 0), [0, 1, 2]),
  known('argmax', [v(1, 7, 7)], (x) => argmax(x, 0), [1]),
  known('argmin', [v(1, 7, 1)], (x) => argmin(x, 0), [0]),
  known('any', [bools(0, 1)], (x) => any(x), [1]),
  known('all', [bools(0, 1)], (x) => all(x), [0]),
  known('logSumExp', [v(1, 2, 3)], (x) => logSumExp(x), [Math.log(sum)]),
  known('softmax', [v(1, 2, 3)], (x) => softmax(x), [e1 / sum, e2 / sum, e3 / sum]),
  known(
    'logSoftmax',
    [v(1, 2, 3)],
    (x) => logSoftmax(x),
    [1, 2, 3].map((x) => x - Math.log(sum)),
  ),
  known('crossEntropy', [exactly('f32', [1, 3], [1, 2, 3]), ints(1)], (x, t) => crossEntropy(x!, t!), [
    Math.log(sum) - 2,
  ]),
  known(
    'linearCrossEntropy',
    [exactly('f32', [1, 1], [1]), exactly('f32', [3, 1], [1, 2, 3]), ints(1)],
    (x, w, t) => linearCrossEntropy(x!, w!, t!),
    [Math.log(sum) - 2],
  ),
  known('routeTokens', [exactly('f32', [1, 3], [1, 2, 3])], (x) => routeTokens(x, { count: 2 }).weights, [
    e3 / (e2 + e3),
    e2 / (e2 + e3),
  ]),
  known('routeTokens', [exactly('f32', [1, 3], [1, 2, 3])], (x) => routeTokens(x, { count: 2 }).experts, [2, 1]),
  known(
    'routedExperts',
    [
      exactly('f32', [1, 1], [2]),
      exactly('i32', [1, 2], [1, 0]),
      exactly('f32', [1, 2], [0.25, 0.75]),
      ...[
        [1, 2],
        [1, 1],
        [1, 3],
      ].map((values) => exactly('f32', [2, 1, 1], values)),
    ],
    (x, experts, weights, gate, up, down) =>
      routedExperts(x!, { experts: experts!, weights: weights! }, { gate: gate!, up: up!, down: down! }, (g, u) =>
        g.mul(u),
      ),
    [9],
  ),
  known('layerNorm', [v(1, 2, 3, 4)], (x) => layerNorm(x), [-1.3416354, -0.4472118, 0.4472118, 1.3416354]),
  known('groupNorm', [exactly('f32', [1, 4], [1, 3, 10, 30])], (x) => groupNorm(x, 2), [-0.999995, 0.999995, -1, 1]),
  known(
    'rmsNorm',
    [v(1, 2, 3, 4), v(1, 1, 1, 10)],
    (x, w) => rmsNorm(x!, w!),
    [0.3651483, 0.7302967, 1.095445, 14.605934],
  ),
];

export const knownValuesCases: readonly Case[] = [...moved, ...computed];
