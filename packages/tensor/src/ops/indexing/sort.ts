import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import type { Dim } from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { record } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, normalizeAxis, sizeOf, type TensorType } from '../../shape.ts';
import { arange } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { and, isNan, not, or } from '../elementwise/comparison.ts';
import { where } from '../elementwise/where.ts';
import { reshape, transpose } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { scatterAddAlongAxis, takeAlongAxis } from './indexing.ts';
import { topKOnnx } from './sort.onnx.ts';
import { topKWebGpu } from './sort.wgsl.ts';

export interface TopKAttributes {
  readonly axis: number;
  readonly count: Dim;
  readonly largest: boolean;
}

/** Values in order, and where they were. */
export interface Sorted {
  readonly values: Tensor;
  /** Places along the axis, i32. */
  readonly indices: Tensor;
}

const topKOp: Op<TopKAttributes> = defineOp({
  name: 'topK',
  shape([x], { axis, count }): readonly TensorType[] {
    const shape = x!.shape.map((dim, i) => (i === axis ? count : dim));
    return [
      { shape, dtype: x!.dtype },
      { shape, dtype: 'i32' },
    ];
  },
  gradient: ({ inputs: [x], outputs: [, indices], outputGradients: [g], attributes: { axis } }) => [
    g ? scatterAddAlongAxis(x!.shape[axis]!, indices!, g, axis) : undefined,
  ],
  // the place of a value is the number of those before it: all pairs are compared, nothing larger than x is stored
  decompose([input], { axis, count, largest }) {
    const x = transpose(input!, axis, -1);
    const { device, shape } = x;
    const [front, size] = [shape.slice(0, -1), shape.at(-1)!];
    const [own, other] = [reshape(x, [...front, size, 1]), reshape(x, [...front, 1, size])];
    const place = arange(device, size);
    const column = reshape(place, [size, 1]);
    const before = largest ? isLess(own, other) : isLess(other, own);
    const rank = sum(cast(or(before, and(isSame(own, other), place.less(column))), 'i32'), -1);
    const slot = reshape(arange(device, count), [count, 1]);
    const indices = sum(where(reshape(rank, [...front, 1, size]).equal(slot), place, 0), -1);
    return [transpose(takeAlongAxis(x, indices, -1), axis, -1), transpose(indices, axis, -1)];
  },
  lower: {
    reference: {
      run({ inputs: [x], outputs: [out], attributes: { axis, largest } }) {
        const { shape, data } = x!;
        const inner = sizeOf(shape.slice(axis + 1));
        const [size, count] = [shape[axis]!, out!.shape[axis]!];
        const [values, indices] = [new Float64Array(sizeOf(out!.shape)), new Float64Array(sizeOf(out!.shape))];
        const rows = data.length / Math.max(size, 1);
        for (let row = 0; row < rows; row++) {
          const [outer, i] = [Math.floor(row / inner), row % inner];
          const at = (place: number) => data[(outer * size + place) * inner + i]!;
          const order = Array.from({ length: size }, (_, place) => place).sort((a, b) => {
            const [p, q] = [at(a), at(b)];
            if (p === q || (Number.isNaN(p) && Number.isNaN(q))) return a - b;
            const isBefore = Number.isNaN(q) || p < q;
            return isBefore === largest ? 1 : -1;
          });
          for (let slot = 0; slot < count; slot++) {
            const to = (outer * count + slot) * inner + i;
            indices[to] = order[slot]!;
            values[to] = at(order[slot]!);
          }
        }
        return [values, indices];
      },
    },
    onnx: topKOnnx,
    webgpu: topKWebGpu,
  },
});

// an order in which NaN is behind all numbers
const isLess = (a: Tensor, b: Tensor) => (isFloat(a.dtype) ? or(a.less(b), and(isNan(b), not(isNan(a)))) : a.less(b));
const isSame = (a: Tensor, b: Tensor) => (isFloat(a.dtype) ? or(a.equal(b), and(isNan(a), isNan(b))) : a.equal(b));

/**
 * The `count` largest values along `axis` (with `largest: false` the smallest), the most extreme first, equal ones in their
 * order, NaN larger than every number. f32, f16, i32 or u32; gradients go to the places that were taken.
 * @throws ShapeError where the axis has fewer values; DTypeError for bool
 */
export function topK(x: Tensor, count: number, axis = -1, options: { readonly largest?: boolean } = {}): Sorted {
  checkArguments('topK', 'tensor', { x });
  checkOptions('topK', options, { largest: 'boolean?' });
  const at = normalizeAxis('topK', axis, x.rank);
  const size = x.shape[at]!;
  if (!Number.isInteger(count) || count < 0)
    throw new ArgumentError(`topK: the number of values must be a whole number from 0, got ${count}`);
  if (typeof size === 'number' && count > size)
    throw new ShapeError(`topK: axis ${at} of ${formatShape(x.shape)} has fewer than ${count} values`);
  return ordered('topK', x, { axis: at, count, largest: options.largest ?? true });
}

/**
 * The values along `axis` in ascending (or `descending`) order, equal ones in their order, and the place that each came from;
 * otherwise as `topK`.
 * @throws DTypeError for bool
 */
export function sort(x: Tensor, axis = -1, options: { readonly descending?: boolean } = {}): Sorted {
  return calledAs('sort', () => {
    checkArguments('sort', 'tensor', { x });
    checkOptions('sort', options, { descending: 'boolean?' });
    const at = normalizeAxis('sort', axis, x.rank);
    return ordered('sort', x, { axis: at, count: x.shape[at]!, largest: options.descending ?? false });
  });
}

/** The places (i32) from which `sort` takes the values along `axis`. @throws DTypeError for bool */
export function argsort(x: Tensor, axis = -1, options: { readonly descending?: boolean } = {}): Tensor {
  return calledAs('argsort', () => {
    checkArguments('argsort', 'tensor', { x });
    checkOptions('argsort', options, { descending: 'boolean?' });
    return sort(x, axis, options).indices;
  });
}

/** f16 is sorted as f32, which it is exactly. */
function ordered(name: string, x: Tensor, attributes: TopKAttributes): Sorted {
  if (x.dtype === 'bool') throw new DTypeError(`${name}: takes numbers, got bool; cast it`);
  const [values, indices] = record(topKOp, [x.dtype === 'f16' ? cast(x, 'f32') : x], attributes);
  return { values: cast(values!, x.dtype), indices: indices! };
}
