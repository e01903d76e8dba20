import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { type Dim, dimsEqual } from '../../dim.ts';
import { bounded } from '../../graph/bounded.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { broadcastShapes, formatShape, normalizeAxis, type Shape, shapesEqual, sizeOf } from '../../shape.ts';
import { arange, full, sizeScalar } from '../create/creation.ts';
import { where } from '../elementwise/where.ts';
import { expand, reshape } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { taken } from './gather.ts';

const takeAlongAxisOp: Op<{ readonly axis: number }> = defineOp({
  name: 'takeAlongAxis',
  shape: ([x, indices]) => [{ shape: indices!.shape, dtype: x!.dtype }],
  gradient: ({ inputs: [x, indices], outputGradients: [g], attributes: { axis } }) => [
    recordOne(scatterAddAlongAxisOp, [indices!, g!], { axis, size: x!.shape[axis]! }),
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
        const clamped = clampIndices(builder, indices!, inputs[0]!.shape[axis]!);
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
 * axis are clamped to it.
 * @throws DTypeError for indices that are not i32; ShapeError where the other axes do not broadcast
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis: number): Tensor {
  return calledAs('takeAlongAxis', () => {
    checkArguments('takeAlongAxis', 'tensor', { x, indices });
    const at = checkIndices('takeAlongAxis', indices, x, axis);
    return pickAlongAxis(x, bounded('takeAlongAxis', indices, x.shape[at]!), at);
  });
}

/** `takeAlongAxis` for indices of which some are outside on purpose. */
export function pickAlongAxis(x: Tensor, indices: Tensor, axis: number): Tensor {
  const at = checkIndices('takeAlongAxis', indices, x, axis);
  const outside = (shape: Shape) => shape.map((dim, i) => (i === at ? 1 : dim));
  const common = broadcastShapes('takeAlongAxis', [outside(x.shape), outside(indices.shape)]);
  const along = (dim: Dim) => common.map((size, i) => (i === at ? dim : size));
  return recordOne(takeAlongAxisOp, [expand(x, along(x.shape[at]!)), expand(indices, along(indices.shape[at]!))], {
    axis: at,
  });
}

const scatterAddAlongAxisOp: Op<{ readonly axis: number; readonly size: Dim }> = defineOp({
  name: 'scatterAddAlongAxis',
  shape: ([, updates], { axis, size }) => [
    { shape: updates!.shape.map((dim, i) => (i === axis ? size : dim)), dtype: updates!.dtype },
  ],
  gradient: ({ inputs: [indices], outputGradients: [g], attributes: { axis } }) => [
    undefined,
    recordOne(takeAlongAxisOp, [g!, indices!], { axis }),
  ],
  // each place sums what is named by it: along the axis all updates are compared with all places
  decompose([indices, updates], { axis, size }) {
    const { device, dtype, shape } = updates!;
    const [front, count, back] = [shape.slice(0, axis), shape[axis]!, shape.slice(axis + 1)];
    const across = [...front, 1, count, ...back];
    const last = sizeScalar(device, size, 'i32').sub(1);
    const named = reshape(indices!.maximum(0).minimum(last), across);
    const place = reshape(arange(device, size), [size, 1, ...back.map(() => 1)]);
    return [sum(where(named.equal(place), reshape(updates!, across), full(device, [], 0, dtype)), axis + 1)];
  },
  lower: {
    reference: {
      run({ inputs: [indices, updates], outputs: [out], attributes: { axis } }) {
        const inner = sizeOf(out!.shape.slice(axis + 1));
        const [size, count] = [out!.shape[axis]!, updates!.shape[axis]!];
        const result = new Float64Array(sizeOf(out!.shape));
        updates!.data.forEach((value, i) => {
          const outer = Math.floor(i / (count * inner));
          const clamped = Math.min(Math.max(indices!.data[i]!, 0), size - 1);
          result[(outer * size + clamped) * inner + (i % inner)]! += value;
        });
        return [result];
      },
    },
    onnx: {
      emit(builder, [indices, updates], { outputs: [out], attributes: { axis, size } }) {
        const dtype = out!.dtype === 'f16' ? 'f32' : out!.dtype === 'u32' ? 'i64' : out!.dtype;
        const typed = (value: string) => (dtype === out!.dtype ? value : builder.cast(value, dtype));
        const zeros = builder.op('Expand', [builder.constant(dtype, [], [0]), builder.sizes(out!.shape)]);
        const places = clampIndices(builder, indices!, size);
        const sums = builder.op('ScatterElements', [zeros, places, typed(updates!)], {
          attributes: { axis, reduction: 'add' },
        });
        return dtype === out!.dtype ? sums : builder.cast(sums, out!.dtype);
      },
    },
  },
});

/** The runtime counts negative indices from the end, and refuses others outside. */
function clampIndices(builder: OnnxBuilder, indices: string, size: Dim): string {
  const last = builder.op('Sub', [builder.cast(builder.sizes([size]), 'i32'), builder.constant('i32', [1], [1])]);
  return builder.op('Max', [builder.op('Min', [indices, last]), builder.constant('i32', [1], [0])]);
}

/**
 * Zeros with `size` places along `axis`, to which each value of `updates` is added at the index (i32) that stands at its
 * place: the adjoint of `takeAlongAxis`. Indices outside go to the nearest place.
 * @throws DTypeError for indices that are not i32, or updates of bool; ShapeError where indices and updates differ in shape
 */
export function scatterAddAlongAxis(size: Dim, indices: Tensor, updates: Tensor, axis: number): Tensor {
  return calledAs('scatterAddAlongAxis', () => {
    checkArguments('scatterAddAlongAxis', 'tensor', { indices, updates });
    const at = checkIndices('scatterAddAlongAxis', indices, updates, axis);
    if (updates.dtype === 'bool') throw new DTypeError('scatterAddAlongAxis: takes numbers, got bool; cast it');
    if (!shapesEqual(indices.shape, updates.shape))
      throw new ShapeError(
        `scatterAddAlongAxis: indices and updates must have one shape, got ${formatShape(indices.shape)} and ${formatShape(updates.shape)}`,
      );
    return recordOne(scatterAddAlongAxisOp, [bounded('scatterAddAlongAxis', indices, size), updates], {
      axis: at,
      size,
    });
  });
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
  return calledAs('indexSelect', () => {
    checkArguments('indexSelect', 'tensor', { x, indices });
    if (indices.rank !== 1)
      throw new ShapeError(
        `indexSelect: indices must be [N], got ${formatShape(indices.shape)}; take() takes any shape`,
      );
    return taken('indexSelect', x, indices, axis);
  });
}

/** `value` where `mask` (bool, broadcasts to `x`) is set, `x` elsewhere. @throws DTypeError, ShapeError */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  return calledAs('maskedFill', () => {
    checkArguments('maskedFill', 'tensor', { x, mask });
    if (mask.dtype !== 'bool') throw new DTypeError(`maskedFill: the mask must be bool, got ${mask.dtype}`);
    const common = broadcastShapes('maskedFill', [x.shape, mask.shape]);
    if (common.length !== x.rank || !common.every((dim, i) => dimsEqual(dim, x.shape[i]!)))
      throw new ShapeError(
        `maskedFill: the mask must broadcast to ${formatShape(x.shape)}, got ${formatShape(mask.shape)}`,
      );
    return where(mask, value, x);
  });
}
