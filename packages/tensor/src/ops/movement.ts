import { addDims, type Dim, dimsEqual, divideDims, multiplyDims, subtractDims } from '../dim.ts';
import { ShapeError } from '../errors.ts';
import type { PointwiseContext } from '../executors/webgpu/lowering.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { broadcastShapes, formatShape, normalizeAxis, type Shape, shapesEqual, sizeOf, stridesOf } from '../shape.ts';
import { sumTo } from './reduce.ts';

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

/** The same values, row-major, in another shape; one size may be -1 and follows from the others. */
export function reshape(x: Tensor, shape: readonly Dim[]): Tensor {
  const open = shape.indexOf(-1);
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

export function flatten(x: Tensor): Tensor {
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

/** Reads `data` at `offset` plus `strides` along each axis of `shape`, row-major. */
function gatherStrided(
  data: Float64Array,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const at = new Array<number>(shape.length).fill(0);
  let place = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[place]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis]!++;
      place += strides[axis]!;
      if (at[axis]! < shape[axis]!) break;
      place -= at[axis]! * strides[axis]!;
      at[axis] = 0;
    }
  }
  return out;
}

/** Reorders axes: axis i of the result is axis `axes[i]` of `x`. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const list = axes.map((axis) => normalizeAxis('permute', axis, x.rank));
  if (list.length !== x.rank || new Set(list).size !== x.rank)
    throw new ShapeError(`permute: axes must name each of ${x.rank} axes once, got [${axes.join(', ')}]`);
  return list.every((axis, i) => axis === i) ? x : recordOne(permuteOp, [x], { axes: list });
}

/** Swaps two axes. */
export function transpose(x: Tensor, axisA = -2, axisB = -1): Tensor {
  const axes = x.shape.map((_, i) => i);
  const [a, b] = [normalizeAxis('transpose', axisA, x.rank), normalizeAxis('transpose', axisB, x.rank)];
  [axes[a], axes[b]] = [b, a];
  return permute(x, axes);
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

/** Repeats axes of size 1, and adds axes in front, up to `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return shapesEqual(x.shape, shape) ? x : recordOne(expandOp, [x], { shape });
}

/** A regular grid inside a larger shape: along axis i the places `start[i] + k * step[i]`. */
interface Grid {
  readonly shape: Shape;
  readonly start: readonly Dim[];
  readonly step: readonly number[];
}

const sliceOp: Op<Grid> = defineOp({
  name: 'slice',
  shape: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  gradient: ({ inputs: [x], outputGradients: [g], attributes: { start, step } }) => [
    recordOne(placeOp, [g!], { shape: x!.shape, start, step }),
  ],
  lower: {
    reference: {
      run({ inputs: [x], outputs: [out], attributes: { start, step }, dim }) {
        const strides = stridesOf(x!.shape);
        const offset = start.reduce<number>((sum, s, axis) => sum + dim(s) * strides[axis]!, 0);
        return [
          gatherStrided(
            x!.data,
            out!.shape,
            strides.map((s, axis) => s * step[axis]!),
            offset,
          ),
        ];
      },
    },
    onnx: {
      emit(builder, [x], { attributes: { shape, start, step } }) {
        const ends = shape.map((dim, i) =>
          addDims(start[i]!, addDims(multiplyDims(subtractDims(dim, 1), step[i]!), 1)),
        );
        const axes = shape.map((_, i) => i);
        return builder.op('Slice', [
          x!,
          builder.sizes(start),
          builder.sizes(ends),
          builder.sizes(axes),
          builder.sizes(step),
        ]);
      },
    },
    webgpu: {
      at: ({ attributes: { start, step }, dim, read }, coordinates) =>
        read(
          0,
          coordinates.map((c, i) => {
            const scaled = step[i] === 1 ? c : `(${c} * ${step[i]}u)`;
            return start[i] === 0 ? scaled : `(${scaled} + ${dim(start[i]!)})`;
          }),
        ),
    },
  },
});

/** Zeros, with `x` on a grid: the adjoint of a slice. */
const placeOp: Op<Grid> = defineOp({
  name: 'place',
  shape: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  gradient: ({ inputs: [x], outputGradients: [g], attributes: { start, step } }) => [
    recordOne(sliceOp, [g!], { shape: x!.shape, start, step }),
  ],
  // an axis with gaps: each value becomes `step` values, the first of which is it
  decompose([x], { shape, start, step }) {
    let y = x!;
    for (let axis = 0; axis < shape.length; axis++) {
      if (step[axis] === 1) continue;
      const [front, n, back] = [y.shape.slice(0, axis), y.shape[axis]!, y.shape.slice(axis + 1)];
      const apart = [...front, n, step[axis]!, ...back];
      y = place(
        reshape(y, [...front, n, 1, ...back]),
        apart,
        apart.map(() => 0),
      );
      y = reshape(y, [...front, multiplyDims(n, step[axis]!), ...back]);
      y = slice(y, axis, 0, addDims(multiplyDims(subtractDims(n, 1), step[axis]!), 1));
    }
    return [place(y, shape, start)];
  },
  lower: {
    reference: {
      run({ inputs: [x], outputs: [out], attributes: { start, step }, dim }) {
        const result = new Float64Array(sizeOf(out!.shape));
        const [inner, outer] = [stridesOf(x!.shape), stridesOf(out!.shape)];
        x!.data.forEach((value, i) => {
          let at = 0;
          for (const [axis, size] of x!.shape.entries())
            at += (dim(start[axis]!) + (Math.floor(i / inner[axis]!) % size) * step[axis]!) * outer[axis]!;
          result[at] = value;
        });
        return [result];
      },
    },
    onnx: {
      supports: ({ attributes: { step } }) => step.every((s) => s === 1),
      emit(builder, [x], { inputs: [input], attributes: { shape, start } }) {
        const after = shape.map((dim, i) => subtractDims(subtractDims(dim, start[i]!), input!.shape[i]!));
        return builder.op('Pad', [x!, builder.sizes([...start, ...after]), builder.constant(input!.dtype, [], [0])]);
      },
    },
    webgpu: {
      at({ inputs: [x], output, attributes: { start, step }, dim, read, let: bind }, coordinates) {
        const inside: string[] = [];
        const source = coordinates.map((c, i) => {
          if (start[i] === 0 && step[i] === 1 && dimsEqual(x!.shape[i]!, output.shape[i]!)) return c;
          const from = bind(`${c} - ${dim(start[i]!)}`); // below the start this wraps around and is out of range
          const at = step[i] === 1 ? from : bind(`${from} / ${step[i]}u`);
          inside.push(`${at} < ${dim(x!.shape[i]!)}`);
          if (step[i] !== 1) inside.push(`${from} % ${step[i]}u == 0u`);
          return bind(`min(${at}, ${dim(x!.shape[i]!)} - 1u)`);
        });
        const value = read(0, source);
        const zero = output.dtype === 'i32' ? '0i' : output.dtype === 'f32' || output.dtype === 'f16' ? '0.0' : '0u';
        return inside.length === 0 ? value : `select(${zero}, ${value}, ${inside.join(' && ')})`;
      },
    },
  },
});

function place(x: Tensor, shape: Shape, start: readonly Dim[]): Tensor {
  return shapesEqual(x.shape, shape) ? x : recordOne(placeOp, [x], { shape, start, step: shape.map(() => 1) });
}

/**
 * The values at `start`, `start + step`, ... before `end` along an axis. Numbers below 0 count from the end of an axis
 * whose size is a number.
 * @throws ShapeError where the range does not lie inside the axis
 */
export function slice(x: Tensor, axis: number, start: Dim, end?: Dim, step = 1): Tensor {
  const at = normalizeAxis('slice', axis, x.rank);
  const size = x.shape[at]!;
  const fromEnd = (dim: Dim) => (typeof dim === 'number' && dim < 0 ? addDims(size, dim) : dim);
  const [from, to] = [fromEnd(start), fromEnd(end ?? size)];
  const length = subtractDims(to, from);
  if (!Number.isInteger(step) || step < 1)
    throw new ShapeError(`slice: the step must be a positive integer, got ${step}`);
  if (typeof length !== 'number' && step !== 1)
    throw new ShapeError(`slice: a range of ${length} takes step 1, got ${step}`);
  const outside =
    (typeof from === 'number' && from < 0) ||
    (typeof length === 'number' && length < 0) ||
    (typeof size === 'number' && typeof to === 'number' && to > size);
  if (outside)
    throw new ShapeError(`slice: [${start}, ${end ?? size}) does not lie inside axis ${at} of ${formatShape(x.shape)}`);
  const count = typeof length === 'number' ? Math.ceil(length / step) : length;
  if (from === 0 && step === 1 && dimsEqual(count, size)) return x;
  const along = <T>(other: T, here: T) => x.shape.map((_, i) => (i === at ? here : other));
  const shape = x.shape.map((dim, i) => (i === at ? count : dim));
  return recordOne(sliceOp, [x], { shape, start: along<Dim>(0, from), step: along(1, step) });
}

/** Zeros around `x`: `before[i]` and `after[i]` of them along axis i. */
export function pad(x: Tensor, before: readonly Dim[], after: readonly Dim[]): Tensor {
  if (before.length !== x.rank || after.length !== x.rank)
    throw new ShapeError(
      `pad: takes ${x.rank} sizes before and after for ${formatShape(x.shape)}, got ${before.length} and ${after.length}`,
    );
  return place(
    x,
    x.shape.map((dim, i) => addDims(addDims(dim, before[i]!), after[i]!)),
    before,
  );
}
