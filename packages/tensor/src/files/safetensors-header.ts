import { FileFormatError } from '../checks/errors.ts';
import { foreignFormat } from './foreign-format.ts';
import { duplicateKey } from './json-keys.ts';
import { isSafetensorsDType, itemSize, type SafetensorsDType, safetensorsDTypes } from './safetensors-dtype.ts';

/** A tensor of a safetensors file. */
export interface SafetensorsInfo {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Bytes of its data. */
  readonly byteLength: number;
}

/** A tensor with where its data starts, in bytes from the start of the file. */
export interface PlacedTensor extends SafetensorsInfo {
  readonly name: string;
  readonly byteOffset: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: readonly PlacedTensor[];
}

/** Bytes before the header: its length as a little-endian u64. */
export const prefixLength = 8;

/** The format's bound on a header, in bytes. */
export const maxHeaderLength = 100_000_000;

/**
 * The length of the header that the first 8 bytes announce, checked against the file.
 *
 * @throws FileFormatError `ERR_SAFETENSORS_HEADER`, `ERR_SAFETENSORS_TRUNCATED`.
 */
export function headerLength(label: string, prefix: Uint8Array, fileLength: number): number {
  const length = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength).getBigUint64(0, true);
  if (length > BigInt(maxHeaderLength)) {
    const found = foreignFormat(prefix);
    if (found) throw bad(label, `this is no safetensors file, it is ${found}`);
    throw bad(label, `the header must be at most ${maxHeaderLength} bytes, its length field says ${length}`);
  }
  const end = prefixLength + Number(length);
  if (end > fileLength) throw truncated(label, `the header ends at byte ${end}`, fileLength);
  return Number(length);
}

/**
 * Parses the bytes of a header and checks everything that it claims: each entry, and that the tensors fill the rest of
 * the file without holes or overlaps.
 *
 * @throws FileFormatError `ERR_SAFETENSORS_HEADER`, `ERR_SAFETENSORS_TRUNCATED`.
 */
export function parseHeader(label: string, header: Uint8Array, fileLength: number): SafetensorsHeader {
  const dataStart = prefixLength + header.byteLength;
  let metadata: ReadonlyMap<string, string> = new Map();
  const tensors: PlacedTensor[] = [];
  for (const [name, value] of Object.entries(parseJson(label, header))) {
    if (name === '__metadata__') metadata = parseMetadata(label, value);
    else tensors.push(parseEntry(label, name, value, dataStart));
  }
  // An empty tensor sorts before the one that starts where it does.
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkPlacement(label, tensors, dataStart, fileLength);
  return { metadata, tensors };
}

function parseJson(label: string, header: Uint8Array): object {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw bad(label, `the header must be a JSON object in UTF-8: ${reason.slice(0, 200)}`, cause);
  }
  if (!isObject(value) || text[0] !== '{') throw bad(label, `the header must be a JSON object, got ${brief(value)}`);
  const twice = duplicateKey(text);
  if (twice !== undefined) throw bad(label, `the header has ${brief(twice)} twice`);
  return value;
}

function parseMetadata(label: string, value: unknown): ReadonlyMap<string, string> {
  if (!isObject(value)) throw bad(label, `__metadata__ must be an object of strings, got ${brief(value)}`);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw bad(label, `__metadata__ ${brief(key)} must be a string, got ${brief(text)}`);
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(label: string, name: string, value: unknown, dataStart: number): PlacedTensor {
  const of = `tensor ${brief(name)}`;
  if (!isObject(value)) throw bad(label, `${of} must be { dtype, shape, data_offsets }, got ${brief(value)}`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (!isSafetensorsDType(dtype)) {
    throw bad(label, `${of}: dtype must be one of ${safetensorsDTypes.join(', ')}, got ${brief(dtype)}`);
  }
  if (!isSizes(shape)) throw bad(label, `${of}: shape must be a list of non-negative integers, got ${brief(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw bad(label, `${of}: data_offsets must be [begin, end] with begin <= end, got ${brief(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((product, size) => product * size, itemSize(dtype));
  if (expected !== end - begin) {
    throw bad(
      label,
      `${of}: ${dtype} of shape ${brief(shape)} takes ${expected} bytes, its offsets hold ${end - begin}`,
    );
  }
  // Adding zero turns the -0 that JSON can spell into 0.
  return { name, dtype, shape: shape.map((size) => size + 0), byteOffset: dataStart + begin, byteLength: expected };
}

function checkPlacement(label: string, tensors: readonly PlacedTensor[], dataStart: number, fileLength: number): void {
  let end = dataStart;
  for (const tensor of tensors) {
    if (tensor.byteOffset !== end) {
      const fault = tensor.byteOffset < end ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw bad(
        label,
        `tensor ${brief(tensor.name)} ${fault}: its data must start at byte ${end}, not ${tensor.byteOffset}`,
      );
    }
    end += tensor.byteLength;
  }
  if (end > fileLength) throw truncated(label, `the tensors end at byte ${end}`, fileLength);
  if (end < fileLength) throw bad(label, `the tensors end at byte ${end}, the file at ${fileLength}`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** A value of the header, cut to what fits in a message. Nested values are not followed: they may be nested deeply. */
function brief(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item: unknown) => (isNested(item) ? '...' : brief(item)));
    return `[${items.join(', ')}${value.length > 8 ? ', ...' : ''}]`;
  }
  if (isNested(value)) return 'an object';
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function isNested(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function bad(label: string, message: string, cause?: unknown): FileFormatError {
  const options = { code: 'ERR_SAFETENSORS_HEADER', ...(cause === undefined ? {} : { cause }) };
  return new FileFormatError(`safetensors: ${label}: ${message}`, options);
}

export function truncated(label: string, claim: string, fileLength: number): FileFormatError {
  return new FileFormatError(`safetensors: ${label}: truncated: ${claim}, the file at ${fileLength}`, {
    code: 'ERR_SAFETENSORS_TRUNCATED',
  });
}
