import { booleans, type Case, exactly, halves, integers } from '../../../../../test-support/cases.ts';
import type { Tensor } from '../../graph/tensor.ts';
import * as ops from './comparison.ts';

type Binary = (a: Tensor, b: Tensor) => Tensor;

const comparison = (name: string, f: Binary): Case[] => [
  { name: `${name} f32`, inputs: [exactly('f32', [4], [1, 2, 3, -1]), exactly('f32', [4], [2, 2, 2, -1])], f },
  { name: `${name} f16 broadcasts`, inputs: [halves([3, 1]), halves([4])], f },
  { name: `${name} i32`, inputs: [integers([9], -2, 2), integers([9], -2, 2, 'i32', 1)], f },
  { name: `${name} u32`, inputs: [exactly('u32', [3], [0, 4e9, 7]), exactly('u32', [3], [1, 3, 7])], f },
];

export const comparisonCases: readonly Case[] = [
  ...comparison('equal', ops.equal),
  { name: 'equal bool', inputs: [booleans([6]), booleans([6], 1)], f: ops.equal },
  ...comparison('notEqual', ops.notEqual),
  {
    name: 'notEqual of NaN',
    inputs: [exactly('f32', [3], [Number.NaN, 1, 2])],
    f: (x) => ops.notEqual(x, x.mul(1)),
    expected: [1, 0, 0],
  },
  ...comparison('less', ops.less),
  ...comparison('lessEqual', ops.lessEqual),
  ...comparison('greater', ops.greater),
  ...comparison('greaterEqual', ops.greaterEqual),
  { name: 'and', inputs: [booleans([2, 3]), booleans([3], 1)], f: ops.and },
  { name: 'or', inputs: [booleans([2, 3]), booleans([3], 1)], f: ops.or },
  { name: 'not', inputs: [booleans([5])], f: ops.not },
  {
    name: 'isNan',
    inputs: [exactly('f32', [5], [0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1.5])],
    f: ops.isNan,
  },
  { name: 'isNan f16', inputs: [exactly('f16', [4], [Number.NaN, 1, Number.POSITIVE_INFINITY, 0])], f: ops.isNan },
];
