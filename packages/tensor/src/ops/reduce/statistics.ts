import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxes, sizeOf } from '../../shape.ts';
import { sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { and, not } from '../elementwise/comparison.ts';
import { where } from '../elementwise/where.ts';
import { stopGradient } from '../movement/identity.ts';
import { reshape } from '../movement/movement.ts';
import { max } from './extremum.ts';
import { type Axes, mean, type ReduceAttributes, type ReduceOptions, reducedShape, sum } from './reduce.ts';

/**
 * Mean squared distance from the mean over `axes` (all where none are named): the sum of squares divided by the number of
 * values less `correction`, 0 by default; 1 gives the estimate from a sample. Where there are no more values than that, Infinity,
 * or NaN where all are the same, as in NumPy. Computed in f32. f32 or f16.
 * @throws DTypeError for other dtypes; ArgumentError where the correction is no number
 */
export function variance(
  x: Tensor,
  axes?: Axes,
  options: ReduceOptions & { readonly correction?: number } = {},
): Tensor {
  return calledAs('variance', () => {
    checkArguments('variance', 'tensor', { x });
    checkOptions('variance', options, { keepDims: 'boolean?', correction: 'number?' });
    const { correction = 0, keepDims = false } = options;
    if (!isFloat(x.dtype)) throw new DTypeError(`variance: takes f32 or f16, got ${x.dtype}`);
    if (!Number.isFinite(correction))
      throw new ArgumentError(`variance: the correction must be a number, got ${correction}`);
    const list = normalizeAxes('variance', axes, x.rank);
    // neither the squares nor the count need fit into f16
    const wide = cast(x, 'f32');
    const distance = wide.sub(mean(wide, list, { keepDims: true }));
    const count = sizeScalar(x.device, sizeOf(list.map((axis) => x.shape[axis]!)));
    return cast(sum(distance.mul(distance), list, { keepDims }).div(count.sub(correction).maximum(0)), x.dtype);
  });
}

const logSumExpOp: Op<ReduceAttributes> = defineOp({
  name: 'logSumExp',
  shape([x], attributes) {
    if (!isFloat(x!.dtype)) throw new DTypeError(`logSumExp: takes f32 or f16, got ${x!.dtype}`);
    return [{ shape: reducedShape(x!.shape, attributes), dtype: x!.dtype }];
  },
  // shares of the sum, not exponentials of what the rounded result is away
  gradient({ inputs: [x], outputGradients: [g], attributes }) {
    const { exponentials, total } = exponentialsOf(x!, attributes.axes);
    // where all values are -Infinity, so is the result, and nothing is passed on
    const isEmpty = total.equal(0);
    const share = where(isEmpty, 0, exponentials.div(where(isEmpty, 1, total)));
    const incoming = reshape(g!, reducedShape(x!.shape, { ...attributes, keepDims: true }));
    return [cast(share.mul(cast(incoming, 'f32')), x!.dtype)];
  },
  decompose([x], { axes, keepDims }) {
    const { shift, total } = exponentialsOf(x!, axes);
    const result = cast(total.log().add(shift), x!.dtype);
    return [keepDims ? result : reshape(result, reducedShape(x!.shape, { axes, keepDims }))];
  },
});

/** exp(x - shift) and its sum over the axes, kept, in f32: f16 may hold the logarithm, and not the sum. */
function exponentialsOf(x: Tensor, axes: readonly number[]) {
  const wide = cast(x, 'f32');
  const most = max(wide, axes, { keepDims: true });
  // an infinite maximum cannot be subtracted
  const finite = and(most.greater(Number.NEGATIVE_INFINITY), most.less(Number.POSITIVE_INFINITY));
  const shift = stopGradient(where(finite, most, 0));
  const exponentials = wide.sub(shift).exp();
  return { shift, exponentials, total: sum(exponentials, axes, { keepDims: true }) };
}

/**
 * log(sum(exp(x))) over `axes` (all where none are named), without overflow. f32 or f16.
 * @throws DTypeError for others; ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that
 *   it does not have
 */
export function logSumExp(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkArguments('logSumExp', 'tensor', { x });
  checkOptions('logSumExp', options, { keepDims: 'boolean?' });
  const list = normalizeAxes('logSumExp', axes, x.rank);
  return recordOne(logSumExpOp, [x], { axes: list, keepDims: options.keepDims ?? false });
}

/**
 * Whether any value over `axes` (all where none are named) is true; false over none. Takes bool.
 * @throws DTypeError for others; ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that
 *   it does not have
 */
export function any(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return calledAs('any', () => {
    checkArguments('any', 'tensor', { x });
    checkOptions('any', options, { keepDims: 'boolean?' });
    if (x.dtype !== 'bool') throw new DTypeError(`any: takes bool, got ${x.dtype}; compare it`);
    return cast(sum(cast(x, 'i32'), axes, options), 'bool');
  });
}

/**
 * Whether all values over `axes` (all where none are named) are true; true over none. Takes bool.
 * @throws DTypeError for others; ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that
 *   it does not have
 */
export function all(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return calledAs('all', () => {
    checkArguments('all', 'tensor', { x });
    checkOptions('all', options, { keepDims: 'boolean?' });
    if (x.dtype !== 'bool') throw new DTypeError(`all: takes bool, got ${x.dtype}; compare it`);
    return not(any(not(x), axes, options));
  });
}
