import { describe } from './checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from './checks/errors.ts';
import {
  blockSizes,
  type DType,
  dtypeOfArray,
  type HostArray,
  hostArray,
  hostLength,
  isBlockFormat,
  isHostArrayOf,
} from './dtype.ts';
import { bf16BitsToNumber, bf16ToF32, f16BitsToNumber, f16ToF32, f32ToF16, numberToBf16Bits } from './float16.ts';
import { checkDType, checkSizes, formatShape, sizeOf } from './shape.ts';

/** Numbers or booleans, nested to any depth. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];
/** Values from the host: a typed array, numbers, or nested arrays. */
export type HostData = HostArray | Float64Array | NestedNumbers;

/** What the values from the host are. */
export interface TensorOptions {
  /** By default the nesting, or one axis for a typed array. */
  readonly shape?: readonly number[];
  /**
   * By default what the typed array holds (Uint16Array: f16 bits, Uint8Array: bool), otherwise f32, bool where all are booleans. bf16
   * takes its bits as a Uint16Array, or numbers; block formats the bytes of their blocks as a Uint8Array.
   */
  readonly dtype?: DType;
}

/** Values as an executor takes them, with their shape and dtype. */
export interface ParsedData {
  readonly data: HostArray;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Values of the host as numbers (f16 and bf16 from their bits), bool as booleans. @throws DTypeError for a block format */
function plainValues(operation: string, dtype: DType, data: HostArray): readonly (number | boolean)[] {
  if (isBlockFormat(dtype)) throw new DTypeError(`${operation}: ${dtype} is storage-only; dequantize it`);
  if (dtype === 'bool') return Array.from(data, (value) => value !== 0);
  if (dtype === 'f16') return Array.from(data, f16BitsToNumber);
  return dtype === 'bf16' ? Array.from(data, bf16BitsToNumber) : Array.from(data);
}

/** @throws DTypeError where values of `dtype` are not asked for as `as`: as themselves, or 16 bits as f32 */
export function checkReadable(dtype: DType, as: DType): void {
  checkDType('data', as);
  if (as === dtype || (as === 'f32' && (dtype === 'f16' || dtype === 'bf16'))) return;
  throw new DTypeError(`data: the tensor is ${dtype}, got a request for ${as}; cast it`);
}

/** Values of the host in a dtype that `checkReadable` lets pass. */
export function readAs(dtype: DType, data: HostArray, as: DType): HostArray {
  if (as === dtype) return data;
  return dtype === 'f16' ? f16ToF32(data as Uint16Array) : bf16ToF32(data as Uint16Array);
}

/** Values of the host as nested arrays of a shape, a scalar as itself. @throws DTypeError for a block format */
export function nestedValues(dtype: DType, data: HostArray, shape: readonly number[]): NestedNumbers {
  const values = plainValues('toArray', dtype, data);
  let next = 0;
  const nest = (axis: number): NestedNumbers =>
    axis === shape.length ? values[next++]! : Array.from({ length: shape[axis]! }, () => nest(axis + 1));
  return nest(0);
}

/** Values in a few digits, for people. */
export function formatNumbers(dtype: DType, data: HostArray): readonly string[] {
  return plainValues('print', dtype, data).map((value) =>
    typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value),
  );
}

function nesting(data: NestedNumbers): number[] {
  return Array.isArray(data) ? [data.length, ...(data.length > 0 ? nesting(data[0] as NestedNumbers) : [])] : [];
}

function flattenInto(data: NestedNumbers, shape: readonly number[], out: (number | boolean)[], depth = 0): void {
  if (!Array.isArray(data)) {
    if (depth !== shape.length)
      throw new ShapeError(`tensor: nested arrays must be rectangular, expected ${formatShape(shape)}`);
    if (typeof data !== 'number' && typeof data !== 'boolean')
      throw new ArgumentError(
        `tensor: takes numbers, booleans, arrays of them and typed arrays, got ${describe(data)}`,
      );
    out.push(data);
    return;
  }
  if (data.length !== shape[depth])
    throw new ShapeError(
      `tensor: nested arrays must be rectangular, expected ${formatShape(shape)}, got a row of ${data.length}`,
    );
  for (const child of data as readonly NestedNumbers[]) flattenInto(child, shape, out, depth + 1);
}

/** Converts numbers to the host array of a dtype. @throws DTypeError for numbers that an integer dtype cannot hold */
export function toHostArray(dtype: DType, values: ArrayLike<number>): HostArray {
  if (dtype === 'f16') return f32ToF16(Float32Array.from(values));
  if (dtype === 'bf16') return Uint16Array.from(values, numberToBf16Bits);
  if (isBlockFormat(dtype))
    throw new DTypeError(`tensor: ${dtype} is made of the bytes of its blocks (Uint8Array): see quantize()`);
  const out = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    out[i] = dtype === 'bool' ? Number(value !== 0) : value;
    if (dtype !== 'f32' && dtype !== 'bool' && out[i] !== value)
      throw new DTypeError(`tensor: ${value} at place ${i} is no ${dtype}`);
  }
  return out;
}

/** The array itself, or where bool has bytes other than 0 and 1 a copy with 1 for those. */
export function asHeld(dtype: DType, data: HostArray): HostArray {
  if (dtype !== 'bool' || data.every((byte) => byte <= 1)) return data;
  return Uint8Array.from(data, (byte) => Number(byte !== 0));
}

/** Brings what a user gives as values into the form that executors take, copying nothing that has it already. */
export function parseData(data: HostData, options: TensorOptions): ParsedData {
  if (ArrayBuffer.isView(data)) {
    const dtype = options.dtype ?? dtypeOfArray(data);
    if (!dtype)
      throw new DTypeError(
        `tensor: takes Float32Array, Float64Array, Int32Array, Uint32Array, Uint16Array (f16 bits) or Uint8Array`,
      );
    const shape = options.shape ?? [data.length];
    checkSize(data.length, shape, dtype);
    return { data: isHostArrayOf(dtype, data) ? asHeld(dtype, data) : toHostArray(dtype, data), shape, dtype };
  }
  const nested = nesting(data);
  const leaves: (number | boolean)[] = [];
  flattenInto(data, nested, leaves);
  // as in NumPy, one number among booleans makes numbers of them
  const dtype =
    options.dtype ?? (leaves.length > 0 && leaves.every((leaf) => typeof leaf === 'boolean') ? 'bool' : 'f32');
  const values = leaves.map(Number);
  const shape = options.shape ?? nested;
  checkSize(values.length, shape, dtype);
  return { data: toHostArray(dtype, values), shape, dtype };
}

/** @throws DTypeError for a dtype that is none; ShapeError for sizes that are none, and rows that are no whole blocks of a block format */
export function checkType(operation: string, shape: readonly number[], dtype: DType): void {
  checkDType(operation, dtype);
  checkSizes(operation, shape);
  if (!isBlockFormat(dtype)) return;
  const { values } = blockSizes[dtype];
  if (shape.length === 0 || shape.at(-1)! % values !== 0)
    throw new ShapeError(
      `${operation}: rows of ${dtype} are whole blocks of ${values} values, got ${formatShape(shape)}`,
    );
}

function checkSize(length: number, shape: readonly number[], dtype: DType): void {
  checkType('tensor', shape, dtype);
  const expected = hostLength(dtype, sizeOf(shape));
  if (length !== expected)
    throw new ShapeError(
      `tensor: ${formatShape(shape)} holds ${expected} ${isBlockFormat(dtype) ? `bytes of ${dtype}` : 'values'}, got ${length}`,
    );
}
