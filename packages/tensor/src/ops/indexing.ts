import { type Dim, dimsEqual, multiplyDims } from '../dim.ts';
import { DTypeError, ShapeError } from '../errors.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { broadcastShapes, formatShape, normalizeAxis, type Shape, sizeOf } from '../shape.ts';
import { arange, sizeScalar } from './creation.ts';
import { where } from './elementwise.ts';
import { scatterAdd, take } from './gather.ts';
import { expand, flatten, reshape } from './movement.ts';

const takeAlongAxisOp: Op<{ readonly axis: number }> = defineOp({
  name: 'takeAlongAxis',
  shape: ([x, indices]) => [{ shape: indices!.shape, dtype: x!.dtype }],
  gradient: ({ inputs: [x, indices], outputGradients: [g], attributes: { axis } }) => [
    scatterAddAlongAxis(x!.shape[axis]!, indices!, g!, axis),
    undefined,
  ],
  lower: {
    reference: {
      run({ inputs: [x, indices], attributes: { axis } }) {
        const inner = sizeOf(x!.shape.slice(axis + 1));
        const [size, count] = [x!.shape[axis]!, indices!.shape[axis]!];
        return [
          indices!.data.map((index, i) => {
            const outer = Math.floor(i / (count * inner));
            const clamped = Math.min(Math.max(index, 0), size - 1);
            return x!.data[(outer * size + clamped) * inner + (i % inner)]!;
          }),
        ];
      },
    },
    onnx: {
      emit(builder, [x, indices], { inputs, attributes: { axis } }) {
        const last = builder.op('Sub', [
          builder.cast(builder.sizes([inputs[0]!.shape[axis]!]), 'i32'),
          builder.constant('i32', [1], [1]),
        ]);
        const clamped = builder.op('Max', [builder.op('Min', [indices!, last]), builder.constant('i32', [1], [0])]);
        return builder.op('GatherElements', [x!, clamped], { attributes: { axis } });
      },
    },
    webgpu: {
      at({ inputs: [x], attributes: { axis }, read, dim, let: bind }, coordinates) {
        const clamped = bind(`min(u32(max(${read(1, coordinates)}, 0)), ${dim(x!.shape[axis]!)} - 1u)`);
        return read(
          0,
          coordinates.map((c, i) => (i === axis ? clamped : c)),
        );
      },
    },
  },
});

/**
 * For each place the value of `x` at the index (i32) that stands there, along `axis`: on a matrix with axis 1 it is
 * `out[i][j] = x[i][indices[i][j]]`. Both have the same number of axes, and broadcast outside of `axis`. Indices outside the
 * axis take the nearest value.
 * @throws DTypeError for indices that are not i32; ShapeError where the other axes do not broadcast
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis: number): Tensor {
  const at = checkIndices('takeAlongAxis', indices, x, axis);
  const outside = (shape: Shape) => shape.map((dim, i) => (i === at ? 1 : dim));
  const common = broadcastShapes('takeAlongAxis', [outside(x.shape), outside(indices.shape)]);
  const along = (dim: Dim) => common.map((size, i) => (i === at ? dim : size));
  return recordOne(takeAlongAxisOp, [expand(x, along(x.shape[at]!)), expand(indices, along(indices.shape[at]!))], {
    axis: at,
  });
}

/**
 * Zeros with `size` places along `axis`, to which each value of `updates` is added at the index (i32) that stands at its
 * place: the adjoint of `takeAlongAxis`. Indices outside go to the nearest place. The result has fewer than 2^31 values.
 * @throws DTypeError for indices that are not i32; ShapeError where indices and updates differ in shape
 */
export function scatterAddAlongAxis(size: Dim, indices: Tensor, updates: Tensor, axis: number): Tensor {
  const at = checkIndices('scatterAddAlongAxis', indices, updates, axis);
  if (!indices.shape.every((dim, i) => dimsEqual(dim, updates.shape[i]!)))
    throw new ShapeError(
      `scatterAddAlongAxis: indices and updates must have one shape, got ${formatShape(indices.shape)} and ${formatShape(updates.shape)}`,
    );
  const { device } = updates;
  const shape = updates.shape.map((dim, i) => (i === at ? size : dim));
  const last = sizeScalar(device, size, 'i32').sub(1);
  // the row-major place in the result that each value goes to
  let place: Tensor | undefined;
  shape.forEach((dim, i) => {
    const own =
      i === at
        ? indices.maximum(0).minimum(last)
        : reshape(
            arange(device, dim),
            shape.map((_, other) => (other === i ? dim : 1)),
          );
    place = place ? place.mul(sizeScalar(device, dim, 'i32')).add(own) : own;
  });
  const places = flatten(expand(place!, updates.shape));
  const total = shape.reduce<Dim>(multiplyDims, 1);
  return reshape(scatterAdd(total, places, flatten(updates)), shape);
}

function checkIndices(name: string, indices: Tensor, x: Tensor, axis: number): number {
  if (indices.dtype !== 'i32') throw new DTypeError(`${name}: indices must be i32, got ${indices.dtype}`);
  if (indices.rank !== x.rank)
    throw new ShapeError(
      `${name}: indices must have the ${x.rank} axes of ${formatShape(x.shape)}, got ${formatShape(indices.shape)}`,
    );
  return normalizeAxis(name, axis, x.rank);
}

/**
 * The slices of `x` along `axis` at `indices` (i32 `[N]`), in their order.
 * @throws ShapeError where the indices have not one axis; DTypeError where they are not i32
 */
export function indexSelect(x: Tensor, indices: Tensor, axis: number): Tensor {
  if (indices.rank !== 1)
    throw new ShapeError(`indexSelect: indices must be [N], got ${formatShape(indices.shape)}; take() takes any shape`);
  return take(x, indices, axis);
}

/** `value` where `mask` (bool, broadcasts to `x`) is set, `x` elsewhere. @throws DTypeError, ShapeError */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  if (mask.dtype !== 'bool') throw new DTypeError(`maskedFill: the mask must be bool, got ${mask.dtype}`);
  const common = broadcastShapes('maskedFill', [x.shape, mask.shape]);
  if (common.length !== x.rank || !common.every((dim, i) => dimsEqual(dim, x.shape[i]!)))
    throw new ShapeError(
      `maskedFill: the mask must broadcast to ${formatShape(x.shape)}, got ${formatShape(mask.shape)}`,
    );
  return where(mask, value, x);
}
