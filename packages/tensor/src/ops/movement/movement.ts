import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ShapeError } from '../../checks/errors.ts';
import { type Dim, dimsEqual, divideDims } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { PointwiseContext } from '../../graph/webgpu-lowering.ts';
import {
  broadcastShapes,
  checkSizes,
  formatShape,
  normalizeAxis,
  type Shape,
  shapesEqual,
  sizeOf,
  stridesOf,
} from '../../shape.ts';
import { sumTo } from '../reduce/sum-to.ts';
import { gatherStrided } from './strided.reference.ts';

interface ToShape {
  readonly shape: Shape;
}

const reshapeOp: Op<ToShape> = defineOp({
  name: 'reshape',
  shape([x], { shape }) {
    if (!dimsEqual(sizeOf(x!.shape), sizeOf(shape)))
      throw new ShapeError(
        `reshape: the number of values must stay, got ${formatShape(x!.shape)} to ${formatShape(shape)}`,
      );
    return [{ shape, dtype: x!.dtype }];
  },
  gradient: ({ inputs: [x], outputGradients: [g] }) => [reshape(g!, x!.shape)],
  lower: {
    reference: { run: ({ inputs: [x] }) => [x!.data] },
    onnx: {
      emit: (builder, [x], { attributes: { shape } }) => builder.reshape(x!, shape),
    },
    webgpu: { at: (context, coordinates) => context.read(0, regroup(context, coordinates)), keepsOrder: true },
  },
});

/** Coordinates before a reshape. Axes that both shapes share in front stay; the others go through their common position. */
function regroup(
  { inputs: [x], output, dim, let: bind }: PointwiseContext<ToShape>,
  coordinates: readonly string[],
): string[] {
  const [from, to] = [x!.shape, output.shape];
  let same = 0;
  while (same < from.length && same < to.length && dimsEqual(from[same]!, to[same]!)) same++;
  const kept = coordinates.slice(0, same);
  let position = '0u';
  for (let axis = same; axis < to.length; axis++)
    position = position === '0u' ? coordinates[axis]! : `(${position} * ${dim(to[axis]!)} + ${coordinates[axis]})`;
  const rest: string[] = [];
  position = bind(position);
  for (let axis = from.length - 1; axis > same; axis--) {
    rest.unshift(from[axis] === 1 ? '0u' : bind(`${position} % ${dim(from[axis]!)}`));
    if (from[axis] !== 1) position = bind(`${position} / ${dim(from[axis]!)}`);
  }
  return same < from.length ? [...kept, position, ...rest] : kept;
}

/**
 * The same values, row-major, in another shape; one size may be -1 and follows from the others.
 * @throws ShapeError where the number of values would change
 */
export function reshape(x: Tensor, shape: readonly Dim[]): Tensor {
  checkArguments('reshape', 'tensor', { x });
  checkArguments('reshape', 'list', { shape });
  checkSizes(
    'reshape',
    shape.filter((dim) => dim !== -1),
  );
  const open = shape.indexOf(-1);
  if (shape.lastIndexOf(-1) !== open)
    throw new ShapeError(`reshape: one size may be -1, got ${formatShape(x.shape)} to ${formatShape(shape)}`);
  let to: Shape = shape;
  if (open >= 0) {
    const known = sizeOf(shape.filter((_, i) => i !== open));
    const size = divideDims(sizeOf(x.shape), known);
    if (size === undefined)
      throw new ShapeError(`reshape: ${formatShape(x.shape)} does not divide into ${formatShape(shape)}`);
    to = shape.map((dim, i) => (i === open ? size : dim));
  }
  return shapesEqual(to, x.shape) ? x : recordOne(reshapeOp, [x], { shape: to });
}

/** All values, row-major, along one axis; a scalar becomes `[1]`. @throws ArgumentError for what is no tensor */
export function flatten(x: Tensor): Tensor {
  checkArguments('flatten', 'tensor', { x });
  return reshape(x, [sizeOf(x.shape)]);
}

const permuteOp: Op<{ readonly axes: readonly number[] }> = defineOp({
  name: 'permute',
  shape: ([x], { axes }) => [{ shape: axes.map((axis) => x!.shape[axis]!), dtype: x!.dtype }],
  gradient: ({ outputGradients: [g], attributes: { axes } }) => [
    permute(
      g!,
      axes.map((_, i) => axes.indexOf(i)),
    ),
  ],
  lower: {
    reference: {
      run({ inputs: [x], outputs: [out], attributes: { axes } }) {
        const strides = stridesOf(x!.shape);
        return [
          gatherStrided(
            x!.data,
            out!.shape,
            axes.map((axis) => strides[axis]!),
            0,
          ),
        ];
      },
    },
    onnx: {
      emit: (builder, [x], { attributes }) => builder.op('Transpose', [x!], { attributes: { perm: attributes.axes } }),
    },
    webgpu: {
      at: ({ attributes: { axes }, read }, coordinates) =>
        read(
          0,
          axes.map((_, i) => coordinates[axes.indexOf(i)]!),
        ),
    },
  },
});

/**
 * Reorders axes: axis i of the result is axis `axes[i]` of `x`.
 * @throws ShapeError where the axes are not all axes, each once
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  checkArguments('permute', 'tensor', { x });
  checkArguments('permute', 'list', { axes });
  const list = axes.map((axis) => normalizeAxis('permute', axis, x.rank));
  if (list.length !== x.rank || new Set(list).size !== x.rank)
    throw new ShapeError(`permute: axes must name each of ${x.rank} axes once, got [${axes.join(', ')}]`);
  return list.every((axis, i) => axis === i) ? x : recordOne(permuteOp, [x], { axes: list });
}

/** Swaps two axes. @throws ShapeError for an axis that is not there */
export function transpose(x: Tensor, axisA = -2, axisB = -1): Tensor {
  return calledAs('transpose', () => {
    checkArguments('transpose', 'tensor', { x });
    const axes = x.shape.map((_, i) => i);
    const [a, b] = [normalizeAxis('transpose', axisA, x.rank), normalizeAxis('transpose', axisB, x.rank)];
    [axes[a], axes[b]] = [b, a];
    return permute(x, axes);
  });
}

const expandOp: Op<ToShape> = defineOp({
  name: 'expand',
  shape([x], { shape }) {
    if (!shapesEqual(broadcastShapes('expand', [x!.shape, shape]), shape))
      throw new ShapeError(`expand: ${formatShape(x!.shape)} does not broadcast to ${formatShape(shape)}`);
    return [{ shape, dtype: x!.dtype }];
  },
  gradient: ({ inputs: [x], outputGradients: [g] }) => [sumTo(g!, x!.shape)],
  lower: {
    reference: {
      run({ inputs: [x], outputs: [out] }) {
        const extra = out!.shape.length - x!.shape.length;
        const strides = stridesOf(x!.shape).map((stride, i) => (x!.shape[i] === 1 ? 0 : stride));
        return [gatherStrided(x!.data, out!.shape, [...new Array<number>(extra).fill(0), ...strides], 0)];
      },
    },
    onnx: {
      emit(builder, [x], { outputs: [out], attributes: { shape } }) {
        // the runtime leaves an axis of 1 as it is where it is to become one of 0
        const from = shape.includes(0) ? builder.constant(out!.dtype, [], [0]) : x!;
        return builder.op('Expand', [from, builder.sizes(shape)]);
      },
    },
    webgpu: {
      at: ({ inputs: [x], output, read }, coordinates) => {
        const extra = output.shape.length - x!.shape.length;
        return read(
          0,
          x!.shape.map((dim, i) => (dim === 1 ? '0u' : coordinates[i + extra]!)),
        );
      },
    },
  },
});

/**
 * Repeats axes of size 1, and adds axes in front, up to `shape`.
 * @throws ShapeError where the shape is not one that `x` broadcasts to
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkArguments('expand', 'tensor', { x });
  checkArguments('expand', 'list', { shape });
  return shapesEqual(x.shape, shape) ? x : recordOne(expandOp, [x], { shape });
}
