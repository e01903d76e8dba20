import { checkArguments } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, ShapeError } from '../checks/errors.ts';
import { isSafetensorsDType, itemSize, type SafetensorsDType, safetensorsDTypes } from './safetensors-dtype.ts';
import { maxHeaderLength, prefixLength } from './safetensors-header.ts';

/** A tensor whose values are asked for when their turn comes. */
export interface SafetensorsSource {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** The bytes, little-endian and row-major: called once. */
  read(): ArrayBufferView | Promise<ArrayBufferView>;
}

type Named<T> = Iterable<readonly [string, T]> | Readonly<Record<string, T>>;

/** A tensor to be written: its bytes are those of `data`, little-endian and row-major. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/**
 * Writes tensors as the bytes of a safetensors file.
 *
 * Data is laid out by falling element size and otherwise in the given order, so that every tensor starts at a multiple
 * of its element size.
 *
 * @param tensors Name to tensor, as an object, a Map or a list of pairs.
 * @param metadata Written as `__metadata__`.
 * @throws ArgumentError for a name that is taken or reserved, an unknown dtype, metadata that is no text, or a header over 100 MB;
 *   ShapeError if the data has other bytes than its shape and dtype take.
 */
export function writeSafetensors(
  tensors: Named<SafetensorsEntry>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const ordered = inFileOrder('writeSafetensors', tensors, metadata);
  for (const [name, { data }] of ordered)
    if (!ArrayBuffer.isView(data))
      throw new ArgumentError(`writeSafetensors: ${name}: data must be a typed array, got ${describe(data)}`);
  for (const [name, { dtype, shape, data }] of ordered) checkLength(name, dtype, shape, data);
  const head = headBytes(ordered, metadata);
  const dataLength = ordered.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  const file = new Uint8Array(head.byteLength + dataLength);
  file.set(head);
  let at = head.byteLength;
  for (const [, { data }] of ordered) {
    file.set(bytesOf(data), at);
    at += data.byteLength;
  }
  return file;
}

/**
 * The bytes of a safetensors file piece by piece: first the header, then each tensor, which is asked for when its turn comes. For
 * files that are larger than memory should hold.
 *
 * @param tensors Name to where its values come from, as an object, a Map or a list of pairs.
 * @param metadata Written as `__metadata__`.
 * @throws As `writeSafetensors`: at once for what the header would say, in its turn for data of another length.
 */
export async function* safetensorsChunks(
  tensors: Named<SafetensorsSource>,
  metadata?: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ordered = inFileOrder('safetensorsChunks', tensors, metadata);
  for (const [name, { read }] of ordered) checkArguments(`safetensorsChunks: ${name}`, 'function', { read });
  yield headBytes(ordered, metadata);
  for (const [name, { dtype, shape, read }] of ordered) {
    const data = await read();
    checkLength(name, dtype, shape, data);
    yield bytesOf(data);
  }
}

const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const byteLengthOf = ({ dtype, shape }: Described) => shape.reduce((product, size) => product * size, itemSize(dtype));

type Described = Pick<SafetensorsEntry, 'dtype' | 'shape'>;

/** Checked, the largest elements first. */
function inFileOrder<T extends Described>(
  operation: string,
  tensors: Named<T>,
  metadata: Readonly<Record<string, string>> | undefined,
): (readonly [string, T])[] {
  if (typeof tensors !== 'object' || tensors === null)
    throw new ArgumentError(`${operation}: takes tensors by name, got ${describe(tensors)}`);
  const entries = Symbol.iterator in tensors ? [...tensors] : Object.entries(tensors);
  if (metadata !== undefined) checkArguments(operation, 'object', { metadata });
  checkEntries(operation, entries);
  for (const [key, text] of Object.entries(metadata ?? {}))
    if (typeof text !== 'string')
      throw new ArgumentError(`${operation}: metadata ${key} must be a string, got ${typeof text}`);
  return [...entries].sort(([, a], [, b]) => itemSize(b.dtype) - itemSize(a.dtype));
}

function checkEntries(operation: string, entries: readonly (readonly [string, Described])[]): void {
  const names = new Set<string>();
  for (const entry of entries) {
    const { dtype, shape } = (Array.isArray(entry) ? (entry[1] ?? {}) : {}) as Described;
    const name: unknown = Array.isArray(entry) ? entry[0] : entry;
    if (typeof name !== 'string' || !Array.isArray(shape))
      throw new ArgumentError(`${operation}: ${describe(name)} needs { dtype, shape, data }`);
    if (name === '__metadata__') throw new ArgumentError(`${operation}: __metadata__ is not a tensor name`);
    if (names.has(name)) throw new ArgumentError(`${operation}: ${name} is given twice`);
    names.add(name);
    if (!isSafetensorsDType(dtype)) {
      const expected = safetensorsDTypes.join(', ');
      throw new ArgumentError(`${operation}: ${name}: dtype must be one of ${expected}, got ${String(dtype)}`);
    }
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new ShapeError(`${operation}: ${name}: sizes must be non-negative integers, got [${shape}]`);
    }
  }
}

function checkLength(name: string, dtype: SafetensorsDType, shape: readonly number[], data: ArrayBufferView): void {
  const expected = byteLengthOf({ dtype, shape });
  if (data.byteLength !== expected)
    throw new ShapeError(
      `writeSafetensors: ${name}: ${dtype} of shape [${shape}] takes ${expected} bytes, got ${data.byteLength}`,
    );
}

/** What comes before the data: the header and its length, padded with spaces so that the data starts at a multiple of 8. */
function headBytes(
  ordered: readonly (readonly [string, Described])[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  // Written field by field: a tensor may be called __proto__, which an object literal would not keep.
  const fields: string[] = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let begin = 0;
  for (const [name, { dtype, shape }] of ordered) {
    const end = begin + byteLengthOf({ dtype, shape });
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > maxHeaderLength) {
    throw new ArgumentError(`writeSafetensors: the header must be at most ${maxHeaderLength} bytes, got ${length}`);
  }
  const head = new Uint8Array(prefixLength + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, prefixLength);
  return head;
}
