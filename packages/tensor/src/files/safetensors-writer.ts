import { ArgumentError, ShapeError } from '../errors.ts';
import { isSafetensorsDType, itemSize, type SafetensorsDType, safetensorsDTypes } from './safetensors-dtype.ts';
import { maxHeaderLength, prefixLength } from './safetensors-header.ts';

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
  tensors: Iterable<readonly [string, SafetensorsEntry]> | Readonly<Record<string, SafetensorsEntry>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries: (readonly [string, SafetensorsEntry])[] =
    Symbol.iterator in tensors ? [...tensors] : Object.entries(tensors);
  checkEntries(entries);
  for (const [key, text] of Object.entries(metadata ?? {}))
    if (typeof text !== 'string')
      throw new ArgumentError(`writeSafetensors: metadata ${key} must be a string, got ${typeof text}`);
  const ordered = [...entries].sort(([, a], [, b]) => itemSize(b.dtype) - itemSize(a.dtype));

  const header = headerBytes(ordered, metadata);
  const dataLength = ordered.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  const file = new Uint8Array(prefixLength + header.byteLength + dataLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.byteLength), true);
  file.set(header, prefixLength);
  let at = prefixLength + header.byteLength;
  for (const [, { data }] of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

function checkEntries(entries: readonly (readonly [string, SafetensorsEntry])[]): void {
  const names = new Set<string>();
  for (const [name, { dtype, shape, data }] of entries) {
    if (name === '__metadata__') throw new ArgumentError('writeSafetensors: __metadata__ is not a tensor name');
    if (names.has(name)) throw new ArgumentError(`writeSafetensors: ${name} is given twice`);
    names.add(name);
    if (!isSafetensorsDType(dtype)) {
      const expected = safetensorsDTypes.join(', ');
      throw new ArgumentError(`writeSafetensors: ${name}: dtype must be one of ${expected}, got ${String(dtype)}`);
    }
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new ShapeError(`writeSafetensors: ${name}: sizes must be non-negative integers, got [${shape}]`);
    }
    const expected = shape.reduce((product, size) => product * size, itemSize(dtype));
    if (data.byteLength !== expected) {
      throw new ShapeError(
        `writeSafetensors: ${name}: ${dtype} of shape [${shape}] takes ${expected} bytes, got ${data.byteLength}`,
      );
    }
  }
}

/** The header, padded with spaces so that the data after it starts at a multiple of 8. */
function headerBytes(
  ordered: readonly (readonly [string, SafetensorsEntry])[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  // Written field by field: a tensor may be called __proto__, which an object literal would not keep.
  const fields: string[] = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let begin = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    const end = begin + data.byteLength;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > maxHeaderLength) {
    throw new ArgumentError(`writeSafetensors: the header must be at most ${maxHeaderLength} bytes, got ${length}`);
  }
  const padded = new Uint8Array(length).fill(0x20);
  padded.set(text);
  return padded;
}
