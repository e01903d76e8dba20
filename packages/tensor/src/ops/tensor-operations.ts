import type { TensorOperations } from '../graph/tensor-operations.ts';
import { arange, full } from './create/creation.ts';
import { gelu, relu } from './elementwise/activation.ts';
import { cast } from './elementwise/cast.ts';
import { and, equal, greater, greaterEqual, less, lessEqual, not, notEqual, or } from './elementwise/comparison.ts';
import {
  abs,
  add,
  cos,
  div,
  exp,
  floor,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  rsqrt,
  sigmoid,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from './elementwise/elementwise.ts';
import { log2, log10 } from './elementwise/exponential.ts';
import { remainder } from './elementwise/remainder.ts';
import { ceil, clip, round } from './elementwise/rounding.ts';
import { atan2, tan } from './elementwise/trigonometry.ts';
import { where } from './elementwise/where.ts';
import { take } from './indexing/gather.ts';
import { matmul } from './matmul/matmul.ts';
import { squeeze, unsqueeze } from './movement/arrange.ts';
import { concat } from './movement/concat.ts';
import { diag, outer } from './movement/diagonal.ts';
import { flip } from './movement/flip.ts';
import { identity } from './movement/identity.ts';
import { expand, flatten, permute, reshape, transpose } from './movement/movement.ts';
import { slice } from './movement/slice.ts';
import { cumsum } from './reduce/cumsum.ts';
import { argmax, argmin, max, min } from './reduce/extremum.ts';
import { norm, std } from './reduce/norm.ts';
import { prod } from './reduce/prod.ts';
import { mean, sum } from './reduce/reduce.ts';
import { variance } from './reduce/statistics.ts';
import { softmax } from './rows/softmax.ts';

/** The functions behind the methods of tensors and devices. */
export const tensorOperations: TensorOperations = {
  atan2,
  ceil,
  diag,
  log10,
  log2,
  norm,
  notEqual,
  outer,
  remainder,
  square,
  std,
  tan,
  abs,
  add,
  and,
  arange,
  argmax,
  argmin,
  cast,
  clip,
  concat,
  cos,
  cumsum,
  div,
  equal,
  exp,
  expand,
  flatten,
  flip,
  floor,
  full,
  gelu,
  greater,
  greaterEqual,
  identity,
  less,
  lessEqual,
  log,
  matmul,
  max,
  maximum,
  mean,
  min,
  minimum,
  mul,
  neg,
  not,
  or,
  permute,
  pow,
  prod,
  relu,
  reshape,
  round,
  rsqrt,
  sigmoid,
  sin,
  slice,
  softmax,
  sqrt,
  squeeze,
  sub,
  sum,
  take,
  tanh,
  transpose,
  unsqueeze,
  variance,
  where,
};
