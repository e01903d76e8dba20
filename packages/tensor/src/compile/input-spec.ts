import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import { type Dim, type SymbolValues, symbolicDim } from '../dim.ts';
import type { DType, HostArray } from '../dtype.ts';
import { isHostArrayOf } from '../dtype.ts';
import { Tensor } from '../graph/tensor.ts';
import { asHeld } from '../host-data.ts';
import { checkDType, checkSizes, formatShape, type TensorType } from '../shape.ts';

/** What an argument of a compiled function will be: sizes as numbers or names, and a dtype (f32 where none is named). */
export interface InputSpec {
  readonly shape: readonly (number | string)[];
  readonly dtype?: DType;
}

/** Host values with more than one axis of a named size. */
export interface ShapedArray {
  readonly data: HostArray;
  readonly shape: readonly number[];
}

/** What a run takes for a tensor argument: a tensor, or host values, which must stay as they are until the call resolves. */
export type Fed = Tensor | HostArray | ShapedArray;

export function isInputSpec(value: unknown): value is InputSpec {
  return (
    typeof value === 'object' &&
    value !== null &&
    'shape' in value &&
    Array.isArray(value.shape) &&
    !(value instanceof Tensor)
  );
}

/** @throws ArgumentError for fields that a spec does not have; DTypeError for a dtype that is none */
export function checkSpec(spec: InputSpec): void {
  checkOptions('compile', spec, { shape: 'list', dtype: 'text?' });
  if (spec.dtype !== undefined) checkDType('compile', spec.dtype);
}

const describeName = (size: unknown): string => (typeof size === 'string' ? size : describe(size));

/** The tensor type of a spec; the dimensions named in `empty` are 0. @throws ArgumentError for a name without a bound; ShapeError for a size that is none */
export function typeOfSpec(
  { shape, dtype = 'f32' }: InputSpec,
  bounds: SymbolValues,
  empty: readonly string[] = [],
): TensorType {
  const dims = shape.map((size): Dim => {
    if (typeof size === 'number') {
      checkSizes('compile', [size]);
      return size;
    }
    const bound = bounds[size];
    if (bound === undefined)
      throw new ArgumentError(`compile: dimension ${describeName(size)} needs a bound in options.symbols`);
    return empty.includes(size) ? 0 : symbolicDim(size, bound);
  });
  return { shape: dims, dtype };
}

/** An argument of a compiled function: checks what a run gives for it and finds the sizes of symbolic dimensions. */
export class InputPort {
  readonly path: string;
  readonly type: TensorType;
  /** Where symbolic dimensions stand, by axis; undefined where the size is a number. */
  readonly #names: readonly (string | undefined)[];
  readonly #fixedSize: number;
  readonly #nameCount: number;

  constructor(path: string, type: TensorType) {
    this.path = path;
    this.type = type;
    this.#names = type.shape.map((dim) => (typeof dim === 'number' ? undefined : dim.key));
    this.#fixedSize = type.shape.reduce<number>((size, dim) => (typeof dim === 'number' ? size * dim : size), 1);
    this.#nameCount = this.#names.filter((name) => name !== undefined).length;
  }

  /** Checks `fed` and notes the sizes that it gives to symbolic dimensions. */
  accept(fed: Fed, sizes: Record<string, number>): HostArray | Tensor {
    if (fed instanceof Tensor) {
      if (fed.dtype !== this.type.dtype) this.#wrongDType(fed.dtype);
      this.#match(fed.shape, sizes);
      return fed;
    }
    const data = ArrayBuffer.isView(fed) ? fed : fed?.data;
    if (!ArrayBuffer.isView(data))
      throw new ArgumentError(`${this.path} takes a tensor or a typed array, got ${typeof fed}`);
    if (!isHostArrayOf(this.type.dtype, data)) this.#wrongDType((data as ArrayBufferView).constructor.name);
    this.#match(ArrayBuffer.isView(fed) ? this.#shapeOf(data) : (fed as ShapedArray).shape, sizes, data.length);
    return asHeld(this.type.dtype, data);
  }

  /** The shape of a bare array: its length decides the one size that is open. */
  #shapeOf(data: HostArray): readonly Dim[] {
    if (this.#nameCount === 0) return this.type.shape;
    if (this.#nameCount > 1)
      throw new ArgumentError(
        `${this.path} has several named sizes ${formatShape(this.type.shape)}: give { data, shape }`,
      );
    const open = this.#fixedSize === 0 ? 0 : data.length / this.#fixedSize;
    return this.type.shape.map((dim) => (typeof dim === 'number' ? dim : open));
  }

  #match(shape: readonly Dim[], sizes: Record<string, number>, length?: number): void {
    let total = 1;
    let fits = shape.length === this.type.shape.length;
    for (let axis = 0; axis < shape.length && fits; axis++) {
      const size = shape[axis]!;
      const name = this.#names[axis];
      if (typeof size !== 'number' || !Number.isInteger(size)) fits = false;
      else {
        total *= size;
        if (name === undefined) fits = size === this.type.shape[axis];
        else {
          sizes[name] ??= size;
          fits = sizes[name] === size;
        }
      }
    }
    if (!fits || (length !== undefined && length !== total))
      throw new ShapeError(
        `${this.path} must be ${formatShape(this.type.shape)}${this.#given(sizes)}, got ${formatShape(shape)}${length === undefined ? '' : ` of ${length} values`}`,
      );
  }

  #given(sizes: Readonly<Record<string, number>>): string {
    const known = this.#names.filter((name) => name !== undefined && sizes[name] !== undefined);
    return known.length === 0 ? '' : ` with ${known.map((name) => `${name} = ${sizes[name!]}`).join(', ')}`;
  }

  #wrongDType(got: string): never {
    throw new DTypeError(`${this.path} is ${this.type.dtype}, got ${got}`);
  }
}
