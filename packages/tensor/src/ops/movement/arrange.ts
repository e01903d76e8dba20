import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, ShapeError } from '../../checks/errors.ts';
import { addDims, type Dim, multiplyDims, subtractDims } from '../../dim.ts';

import type { Tensor } from '../../graph/tensor.ts';
import { checkSizes, formatShape, normalizeAxes, normalizeAxis, shapesEqual } from '../../shape.ts';
import { concat } from './concat.ts';
import { expand, reshape } from './movement.ts';
import { slice } from './slice.ts';

/** Puts an axis of size 1 at `axis` of the result. @throws ShapeError for a place that the result does not have */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  return calledAs('unsqueeze', () => {
    checkArguments('unsqueeze', 'tensor', { x });
    const at = normalizeAxis('unsqueeze', axis, x.rank + 1);
    return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
  });
}

/** Drops axes of size 1: those named, or all of them. @throws ShapeError where a named axis has another size */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  return calledAs('squeeze', () => {
    checkArguments('squeeze', 'tensor', { x });
    const named = axes === undefined ? undefined : normalizeAxes('squeeze', axes, x.rank);
    const wrong = named?.find((axis) => x.shape[axis] !== 1);
    if (wrong !== undefined)
      throw new ShapeError(`squeeze: axis ${wrong} must have size 1, got ${formatShape(x.shape)}`);
    return reshape(
      x,
      x.shape.filter((dim, axis) => (named ? !named.includes(axis) : dim !== 1)),
    );
  });
}

/** Joins tensors of one shape along a new axis. @throws ShapeError where shapes differ; ArgumentError for none */
export function stack(inputs: readonly Tensor[], axis = 0): Tensor {
  return calledAs('stack', () => {
    checkArguments('stack', 'tensors', { tensors: inputs });
    const first = inputs[0];
    if (!first) throw new ArgumentError('stack: takes at least one tensor');
    for (const { shape } of inputs)
      if (!shapesEqual(shape, first.shape))
        throw new ShapeError(`stack: shapes must agree, got ${formatShape(first.shape)} and ${formatShape(shape)}`);
    const at = normalizeAxis('stack', axis, first.rank + 1);
    return concat(
      inputs.map((input) => unsqueeze(input, at)),
      at,
    );
  });
}

/**
 * Cuts an axis into parts: a number of equal ones, or parts of the given sizes.
 * @throws ShapeError where the parts do not make up the axis
 */
export function split(x: Tensor, parts: number | readonly Dim[], axis = 0): Tensor[] {
  return calledAs('split', () => {
    checkArguments('split', 'tensor', { x });
    const at = normalizeAxis('split', axis, x.rank);
    const size = x.shape[at]!;
    const sizes = typeof parts === 'number' ? equalParts(x, parts, at) : parts;
    checkSizes('split', sizes);
    const total = sizes.reduce<Dim>(addDims, 0);
    if (!shapesEqual([total], [size]))
      throw new ShapeError(
        `split: parts of [${sizes.join(', ')}] do not make up axis ${at} of ${formatShape(x.shape)}`,
      );
    let start: Dim = 0;
    return sizes.map((length) => {
      const end: Dim = addDims(start, length);
      const part = slice(x, at, start, end);
      start = end;
      return part;
    });
  });
}

function equalParts(x: Tensor, parts: number, axis: number): readonly number[] {
  const size = x.shape[axis]!;
  if (typeof size !== 'number' || !Number.isInteger(parts) || parts < 1 || size % parts !== 0)
    throw new ShapeError(`split: axis ${axis} of ${formatShape(x.shape)} does not divide into ${parts} equal parts`);
  return new Array<number>(parts).fill(size / parts);
}

/**
 * Repeats the whole tensor: `times[i]` copies side by side along axis i, aligned at the last axis; where there are more
 * numbers than axes, axes come in front.
 * @throws ArgumentError for numbers that are no whole numbers from 0
 */
export function tile(x: Tensor, times: readonly Dim[]): Tensor {
  return calledAs('tile', () => {
    checkArguments('tile', 'tensor', { x });
    checkArguments('tile', 'list', { times });
    for (const count of times) checkCount('tile', count);
    const rank = Math.max(x.rank, times.length);
    const sizes = [...new Array<Dim>(rank - x.rank).fill(1), ...x.shape];
    const counts = [...new Array<Dim>(rank - times.length).fill(1), ...times];
    const apart = expand(
      reshape(
        x,
        sizes.flatMap((size) => [1, size]),
      ),
      sizes.flatMap((size, i) => [counts[i]!, size]),
    );
    return reshape(
      apart,
      sizes.map((size, i) => multiplyDims(counts[i]!, size)),
    );
  });
}

/** Repeats each value along an axis `times` times, one behind the other. @throws ArgumentError for a negative number */
export function repeat(x: Tensor, times: Dim, axis: number): Tensor {
  return calledAs('repeat', () => {
    checkArguments('repeat', 'tensor', { x });
    checkCount('repeat', times);
    const at = normalizeAxis('repeat', axis, x.rank);
    const [front, size, back] = [x.shape.slice(0, at), x.shape[at]!, x.shape.slice(at + 1)];
    const apart = expand(unsqueeze(x, at + 1), [...front, size, times, ...back]);
    return reshape(apart, [...front, multiplyDims(size, times), ...back]);
  });
}

function checkCount(name: string, count: Dim): void {
  if (typeof count === 'number' && (!Number.isInteger(count) || count < 0))
    throw new ArgumentError(`${name}: takes whole numbers from 0, got ${count}`);
}

/**
 * Moves values along an axis by `shift` places, those that leave at one end coming in at the other. Along a symbolic dimension
 * the shift must not be larger than its size in a run.
 * @throws ArgumentError where the shift is no whole number
 */
export function roll(x: Tensor, shift: number, axis: number): Tensor {
  return calledAs('roll', () => {
    checkArguments('roll', 'tensor', { x });
    if (!Number.isSafeInteger(shift)) throw new ArgumentError(`roll: the shift must be a whole number, got ${shift}`);
    const at = normalizeAxis('roll', axis, x.rank);
    const size = x.shape[at]!;
    if (size === 0) return x;
    const by = typeof size === 'number' ? shift % size : shift;
    if (by === 0) return x;
    const cut = by > 0 ? subtractDims(size, by) : -by;
    return concat([slice(x, at, cut), slice(x, at, 0, cut)], at);
  });
}
