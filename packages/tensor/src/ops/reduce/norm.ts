import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxes, sizeOf } from '../../shape.ts';
import { sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { stopGradient } from '../movement/identity.ts';
import { reshape } from '../movement/movement.ts';
import { max, min } from './extremum.ts';
import { type Axes, mean, type ReduceOptions, reducedShape, sum } from './reduce.ts';

/**
 * Standard deviation over `axes` (all where none are named): the square root of `variance`, whose `correction` is 0 by default,
 * as NumPy's is; PyTorch's is 1. Without overflow; its gradient is 0 where all values are the same. f32 or f16.
 * @throws DTypeError for others; ArgumentError where the correction is no number
 */
export function std(x: Tensor, axes?: Axes, options: ReduceOptions & { readonly correction?: number } = {}): Tensor {
  return calledAs('std', () => {
    checkArguments('std', 'tensor', { x });
    checkOptions('std', options, { keepDims: 'boolean?', correction: 'number?' });
    if (!isFloat(x.dtype)) throw new DTypeError(`std: takes f32 or f16, got ${x.dtype}`);
    const { correction = 0, keepDims = false } = options;
    if (!Number.isFinite(correction))
      throw new ArgumentError(`std: the correction must be a number, got ${correction}`);
    const list = normalizeAxes('std', axes, x.rank);
    const wide = cast(x, 'f32');
    const distance = wide.sub(mean(wide, list, { keepDims: true }));
    const count = sizeScalar(x.device, sizeOf(list.map((axis) => x.shape[axis]!)));
    return cast(norm(distance, list, { keepDims }).div(count.sub(correction).maximum(0).sqrt()), x.dtype);
  });
}

/**
 * The vector norm of the values over `axes` (all where none are named): of order 2, the root of the sum of squares, or of the
 * order `ord`, Infinity for the largest size, -Infinity for the least, 0 for the number of values that are not 0. Without
 * overflow, computed in f32; gradients are 0 where all values are. f32 or f16.
 * @throws DTypeError for others; ArgumentError for an order that is NaN
 */
export function norm(x: Tensor, axes?: Axes, options: ReduceOptions & { readonly ord?: number } = {}): Tensor {
  return calledAs('norm', () => {
    checkArguments('norm', 'tensor', { x });
    checkOptions('norm', options, { keepDims: 'boolean?', ord: 'number?' });
    const { ord = 2, keepDims = false } = options;
    if (!isFloat(x.dtype)) throw new DTypeError(`norm: takes f32 or f16, got ${x.dtype}`);
    if (typeof ord !== 'number' || Number.isNaN(ord)) throw new ArgumentError(`norm: ord must be a number, got ${ord}`);
    const list = normalizeAxes('norm', axes, x.rank);
    const values = cast(x, 'f32');
    const size = values.abs();
    const kept = { keepDims: true };
    if (ord === 0) return cast(sum(cast(size.equal(0).not(), 'f32'), list, { keepDims }), x.dtype);
    if (ord === 1) return cast(sum(size, list, { keepDims }), x.dtype);
    if (ord === Number.POSITIVE_INFINITY) return cast(max(size, list, { keepDims }), x.dtype);
    if (ord === Number.NEGATIVE_INFINITY) return cast(min(size, list, { keepDims }), x.dtype);
    const most = stopGradient(max(size, list, kept));
    const isScaled = most.greater(0).and(most.less(Number.POSITIVE_INFINITY));
    const scale = where(isScaled, most, 1);
    // squares are of the values themselves: sizes have no second derivative at 0
    const share = (ord === 2 ? values : size).div(scale);
    // the size has no slope at 0, where that of its power below 1 is infinite
    const power = () =>
      ord < 1 ? where(share.equal(0), 0 ** ord, where(share.equal(0), 1, share).pow(ord)) : share.pow(ord);
    const total = sum(ord === 2 ? share.mul(share) : power(), list, kept);
    // the root has no slope at 0
    const isNone = total.equal(0);
    const some = where(isNone, 1, total);
    const root = where(isNone, 0, ord === 2 ? some.sqrt() : some.pow(1 / ord)).mul(scale);
    return cast(keepDims ? root : reshape(root, reducedShape(x.shape, { axes: list, keepDims })), x.dtype);
  });
}
