import { checkArguments } from './checks/check-arguments.ts';
import { describe } from './checks/describe.ts';
import { DTypeError, ShapeError } from './checks/errors.ts';
import { addDims, type Dim, dimsEqual, evaluateDim, isDim, multiplyDims, type SymbolValues } from './dim.ts';
import { byteSize, type DType } from './dtype.ts';

/** Sizes of a tensor, outermost first. */
export type Shape = readonly Dim[];

/** Shape and element type of a tensor. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A tensor type whose sizes are all known. */
export interface ConcreteType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A shape as messages have it: `[2, N]`. @throws ArgumentError for what is no list */
export function formatShape(shape: Shape): string {
  checkArguments('formatShape', 'list', { shape });
  return `[${shape.join(', ')}]`;
}

/** Whether two shapes are equal whatever the symbolic dimensions are. */
export function shapesEqual(a: Shape, b: Shape): boolean {
  checkArguments('shapesEqual', 'list', { a, b });
  return a.length === b.length && a.every((dim, i) => dimsEqual(dim, b[i]!));
}

/** Number of values. */
export function sizeOf(shape: readonly number[]): number;
export function sizeOf(shape: Shape): Dim;
export function sizeOf(shape: Shape): Dim {
  return shape.reduce<Dim>(multiplyDims, 1);
}

export function sumDims(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>(addDims, 0);
}

export function evaluateShape(shape: Shape, values: SymbolValues): number[] {
  return shape.map((dim) => evaluateDim(dim, values));
}

/** Row-major strides, in values. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

/** @throws DTypeError naming `operation` where a dtype is none */
export function checkDType(operation: string, dtype: DType): void {
  if (!Object.hasOwn(byteSize, dtype))
    throw new DTypeError(`${operation}: dtypes are ${Object.keys(byteSize).join(', ')}, got ${String(dtype)}`);
}

/** @throws ShapeError naming `operation` where a size is no whole number from 0 */
export function checkSizes(operation: string, shape: Shape): void {
  checkArguments(operation, 'list', { shape });
  for (const dim of shape)
    if (!isDim(dim))
      throw new ShapeError(`${operation}: sizes are whole numbers and symbolic dimensions, got ${describe(dim)}`);
    else if (typeof dim === 'number' && !(Number.isSafeInteger(dim) && dim >= 0))
      throw new ShapeError(`${operation}: sizes must be whole numbers from 0, got ${formatShape(shape)}`);
}

/** The common shape of operands by NumPy's rule. @throws ShapeError naming `operation` and both shapes */
export function broadcastShapes(operation: string, shapes: readonly Shape[]): Shape {
  checkArguments(operation, 'list', { shapes });
  for (const shape of shapes) checkArguments(operation, 'list', { shape });
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const out: Dim[] = [];
  for (let axis = -rank; axis < 0; axis++) {
    let common: Dim = 1;
    for (const shape of shapes) {
      const dim = shape[shape.length + axis] ?? 1;
      if (dim === 1 || dimsEqual(dim, common)) continue;
      if (common !== 1)
        throw new ShapeError(
          `${operation}: shapes must broadcast (equal sizes or 1, aligned at the last axis), got ${shapes.map(formatShape).join(' and ')}`,
        );
      common = dim;
    }
    out.push(common);
  }
  return out;
}

/** `axis` counted from the front. @throws ShapeError where the rank has no such axis */
export function normalizeAxis(operation: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new ShapeError(
      `${operation}: axis must be an integer in [${-rank}, ${rank - 1}] for rank ${rank}, got ${typeof axis === 'number' ? axis : describe(axis)}`,
    );
  return axis < 0 ? axis + rank : axis;
}

/** `axes` counted from the front, ascending, each once; all axes where none are named. */
export function normalizeAxes(operation: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  if (typeof axes !== 'number') checkArguments(operation, 'list', { axes });
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => normalizeAxis(operation, axis, rank));
  if (new Set(list).size !== list.length)
    throw new ShapeError(`${operation}: an axis is named twice in [${list.join(', ')}]`);
  return list.sort((a, b) => a - b);
}
