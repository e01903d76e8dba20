import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, ShapeError } from '../checks/errors.ts';
import { type FileInput, openInput } from './byte-source.ts';
import {
  encodeHeader,
  headerError,
  headerRange,
  longestPrefix,
  type NpyDType,
  npyDTypes,
  npyItemSize,
  parseHeader,
  shortestPrefix,
} from './npy-header.ts';

/** What holds the values, by element type: f16 as bits, bool as 0 and 1. */
export interface NpyArrays {
  f64: Float64Array<ArrayBuffer>;
  f32: Float32Array<ArrayBuffer>;
  f16: Uint16Array<ArrayBuffer>;
  i64: BigInt64Array<ArrayBuffer>;
  i32: Int32Array<ArrayBuffer>;
  i16: Int16Array<ArrayBuffer>;
  i8: Int8Array<ArrayBuffer>;
  u64: BigUint64Array<ArrayBuffer>;
  u32: Uint32Array<ArrayBuffer>;
  u16: Uint16Array<ArrayBuffer>;
  u8: Uint8Array<ArrayBuffer>;
  bool: Uint8Array<ArrayBuffer>;
}

const constructors = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Uint16Array,
  i64: BigInt64Array,
  i32: Int32Array,
  i16: Int16Array,
  i8: Int8Array,
  u64: BigUint64Array,
  u32: Uint32Array,
  u16: Uint16Array,
  u8: Uint8Array,
  bool: Uint8Array,
};

/** An array of a `.npy` file, row-major. */
export type NpyArray = {
  [D in NpyDType]: { readonly dtype: D; readonly shape: readonly number[]; readonly data: NpyArrays[D] };
}[NpyDType];

/**
 * Reads an array of NumPy's `.npy` format, versions 1.0 to 3.0, either byte order, row-major or column-major; the values are
 * the caller's, row-major.
 *
 * @param input A path (where there is `node:fs`), a Blob or File, bytes, or `{ byteLength, read(offset, length) }`.
 * @throws FileFormatError `ERR_NPY_HEADER`, `ERR_NPY_DTYPE` (complex numbers, strings, records, objects),
 *   `ERR_NPY_TRUNCATED` where the values are not exactly as many as the shape says, `ERR_FILE_NOT_FOUND`, `ERR_FILE_ACCESS`;
 *   ArgumentError if the input is none of these.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export async function readNpy(input: FileInput): Promise<NpyArray> {
  const source = await openInput('readNpy', input);
  try {
    const { label, byteLength } = source;
    if (byteLength < shortestPrefix) throw headerError(label, `ends after ${byteLength} bytes`, 'ERR_NPY_TRUNCATED');
    const range = headerRange(label, await source.read(0, Math.min(longestPrefix, byteLength)));
    const start = range.start + range.length;
    if (start > byteLength)
      throw headerError(label, `the header takes ${start} bytes, the file has ${byteLength}`, 'ERR_NPY_TRUNCATED');
    const header = parseHeader(label, decodeText(label, await source.read(range.start, range.length)));
    const { dtype, shape } = header;
    const expected = shape.reduce((product, size) => product * size, npyItemSize(dtype));
    if (expected !== byteLength - start)
      throw headerError(
        label,
        `${dtype} of shape [${shape.join(', ')}] takes ${expected} bytes, got ${byteLength - start}`,
        'ERR_NPY_TRUNCATED',
      );
    const bytes = await source.read(start, expected);
    if (header.bigEndian) swapBytes(bytes, npyItemSize(dtype));
    const data = new constructors[dtype](bytes.buffer, bytes.byteOffset, expected / npyItemSize(dtype));
    return { dtype, shape, data: header.fortranOrder ? toRowMajor(data, shape) : data } as NpyArray;
  } finally {
    await source.close();
  }
}

function decodeText(label: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw headerError(label, 'the header is no text', 'ERR_NPY_HEADER', { cause });
  }
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

/** Values that lie column-major, row-major. */
function toRowMajor(data: NpyArrays[NpyDType], shape: readonly number[]): NpyArrays[NpyDType] {
  const out = data.slice();
  const at = new Array<number>(shape.length).fill(0);
  const steps = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis]!++;
      from += steps[axis]!;
      if (at[axis]! < shape[axis]!) break;
      from -= at[axis]! * steps[axis]!;
      at[axis] = 0;
    }
  }
  return out;
}

/**
 * Writes an array as the bytes of a `.npy` file (version 1.0, little-endian, row-major), which `numpy.load` reads.
 * @throws ArgumentError for an unknown dtype; ShapeError where the data holds other than what shape and dtype take
 */
export function writeNpy(array: NpyArray): Uint8Array<ArrayBuffer> {
  checkOptions('writeNpy', array, ['dtype', 'shape', 'data']);
  if (!ArrayBuffer.isView(array.data))
    throw new ArgumentError(`writeNpy: data must be a typed array, got ${describe(array.data)}`);
  const { dtype, shape, data } = array;
  if (!npyDTypes.includes(dtype))
    throw new ArgumentError(`writeNpy: dtype must be one of ${npyDTypes.join(', ')}, got ${String(dtype)}`);
  checkArguments('writeNpy', 'list', { shape });
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new ShapeError(`writeNpy: sizes must be whole numbers from 0, got [${shape.join(', ')}]`);
  const expected = shape.reduce((product, size) => product * size, npyItemSize(dtype));
  if (data.byteLength !== expected)
    throw new ShapeError(
      `writeNpy: ${dtype} of shape [${shape.join(', ')}] takes ${expected} bytes, got ${data.byteLength}`,
    );
  const header = encodeHeader({ dtype, shape });
  if (header.byteLength > 65536) throw new ShapeError(`writeNpy: ${shape.length} axes are too many for the format`);
  const bytes = new Uint8Array(header.byteLength + expected);
  bytes.set(header);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), header.byteLength);
  return bytes;
}
