import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ShapeError } from '../../checks/errors.ts';
import { addDims, type Dim, dimsEqual, multiplyDims, subtractDims } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { checkSizes, formatShape, normalizeAxis, type Shape, shapesEqual, sizeOf, stridesOf } from '../../shape.ts';
import { flip } from './flip.ts';
import { reshape } from './movement.ts';
import { gatherStrided } from './strided.reference.ts';

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
 * whose size is a number. With a step below 0 the values go from `start` down to, but not including, `end`, by default to the
 * first one: `slice(x, 0, -1, undefined, -1)` turns the axis around.
 * @throws ShapeError where the range does not lie inside the axis, and for a step of 0
 */
export function slice(x: Tensor, axis: number, start: Dim, end?: Dim, step = 1): Tensor {
  return calledAs('slice', () => {
    checkArguments('slice', 'tensor', { x });
    const at = normalizeAxis('slice', axis, x.rank);
    if (end === null) throw new ShapeError('slice: end must be a whole number or left out, got null');
    for (const place of [start, end])
      if (typeof place === 'number' && !Number.isInteger(place))
        throw new ShapeError(`slice: start and end must be whole numbers, got ${start} and ${end}`);
    const size = x.shape[at]!;
    if (step < 0) return backwards(x, at, start, end, step);
    const fromEnd = (dim: Dim) => (typeof dim === 'number' && dim < 0 ? addDims(size, dim) : dim);
    const [from, to] = [fromEnd(start), fromEnd(end ?? size)];
    const length = subtractDims(to, from);
    if (!Number.isInteger(step) || step < 1)
      throw new ShapeError(`slice: the step must be an integer other than 0, got ${step}`);
    if (typeof length !== 'number' && step !== 1)
      throw new ShapeError(`slice: a range of ${length} takes step 1, got ${step}`);
    const outside =
      (typeof from === 'number' && from < 0) ||
      (typeof length === 'number' && length < 0) ||
      (typeof size === 'number' && typeof to === 'number' && to > size);
    if (outside)
      throw new ShapeError(
        `slice: [${start}, ${end ?? size}) does not lie inside axis ${at} of ${formatShape(x.shape)}`,
      );
    const count = typeof length === 'number' ? Math.ceil(length / step) : length;
    if (from === 0 && step === 1 && dimsEqual(count, size)) return x;
    const along = <T>(other: T, here: T) => x.shape.map((_, i) => (i === at ? here : other));
    const shape = x.shape.map((dim, i) => (i === at ? count : dim));
    return recordOne(sliceOp, [x], { shape, start: along<Dim>(0, from), step: along(1, count === 1 ? 1 : step) });
  });
}

/** The same values from the other end, turned around. */
function backwards(x: Tensor, axis: number, start: Dim, end: Dim | undefined, step: number): Tensor {
  const size = x.shape[axis]!;
  if (typeof size !== 'number' || typeof start !== 'number' || (end !== undefined && typeof end !== 'number'))
    throw new ShapeError(`slice: a step of ${step} takes numbers, got [${start}, ${end}) of ${size}`);
  const from = start < 0 ? start + size : start;
  const to = end === undefined ? -1 : end < 0 ? end + size : end;
  if (!Number.isInteger(step) || from >= size || to < -1 || to > from)
    throw new ShapeError(
      `slice: from ${start} down to ${end ?? 'the first'} by ${step} does not lie inside axis ${axis} of ${formatShape(x.shape)}`,
    );
  const count = Math.ceil((from - to) / -step);
  if (count === 0) return slice(x, axis, 0, 0);
  return flip(slice(x, axis, from + (count - 1) * step, from + 1, -step), axis);
}

/**
 * Zeros around `x`: `before[i]` and `after[i]` of them along axis i.
 * @throws ShapeError where these are not as many as the axes, or no whole numbers from 0
 */
export function pad(x: Tensor, before: readonly Dim[], after: readonly Dim[]): Tensor {
  return calledAs('pad', () => {
    checkArguments('pad', 'tensor', { x });
    checkArguments('pad', 'list', { before, after });
    if (before.length !== x.rank || after.length !== x.rank)
      throw new ShapeError(
        `pad: takes ${x.rank} sizes before and after for ${formatShape(x.shape)}, got ${before.length} and ${after.length}`,
      );
    checkSizes('pad', before);
    checkSizes('pad', after);
    return place(
      x,
      x.shape.map((dim, i) => addDims(addDims(dim, before[i]!), after[i]!)),
      before,
    );
  });
}
