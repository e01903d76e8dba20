import { GgufCursor, type GgufValue } from './gguf-cursor.ts';
import { blockValues, type GgufType, isReadType, typeBytes, typeName } from './gguf-types.ts';

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Outermost first, as everywhere here; the file has the innermost first. */
  readonly shape: readonly number[];
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Where the bytes of each key with its value stand in the file. */
  readonly entries: ReadonlyMap<string, { readonly offset: number; readonly length: number }>;
  /** In the order of their data. */
  readonly tensors: readonly GgufTensor[];
}

/**
 * Parses and checks a header from the first bytes of a file.
 *
 * @throws MoreNeeded where it goes on beyond them; FileFormatError `ERR_GGUF_HEADER`, `ERR_GGUF_TRUNCATED`, `ERR_GGUF_TYPE`
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export function parseGgufHeader(label: string, bytes: Uint8Array, fileLength: number): GgufHeader {
  const cursor = new GgufCursor(label, bytes, fileLength);
  const magic = cursor.u32();
  if (magic !== 0x46554747) throw cursor.bad(`begins with ${JSON.stringify(textOf(magic))}, a GGUF file with "GGUF"`);
  const version = cursor.u32();
  if (version >= 2 ** 16) throw cursor.bad('is big-endian: such files are not read');
  if (version !== 2 && version !== 3) throw cursor.bad(`has version ${version}: versions 2 and 3 are read`);
  const tensorCount = cursor.count('the number of tensors', 24);
  const keyCount = cursor.count('the number of keys', 13);
  const metadata = new Map<string, GgufValue>();
  const entries = new Map<string, { offset: number; length: number }>();
  for (let i = 0; i < keyCount; i++) {
    const { offset } = cursor;
    const key = cursor.string('a key');
    if (metadata.has(key)) throw cursor.bad(`has the key ${key} twice`);
    metadata.set(key, cursor.value(key));
    entries.set(key, { offset, length: cursor.offset - offset });
  }
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 2 ** 20 || alignment % 1 !== 0)
    throw cursor.bad(`general.alignment must be a number of bytes, got ${String(alignment)}`);
  const stated = Array.from({ length: tensorCount }, () => readTensor(cursor));
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = stated.map(({ offset, ...tensor }) => {
    if (offset % alignment !== 0)
      throw cursor.bad(`${tensor.name} begins at ${offset}, which is no multiple of ${alignment}`);
    return { ...tensor, byteOffset: dataStart + offset };
  });
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkPlaces(cursor, tensors, fileLength);
  return { metadata, entries, tensors };
}

function readTensor(cursor: GgufCursor): Omit<GgufTensor, 'byteOffset'> & { readonly offset: number } {
  const name = cursor.string('the name of a tensor');
  const rank = cursor.u32();
  if (rank > 4) throw cursor.bad(`${name} has ${rank} dimensions, at most 4 are allowed`);
  const shape = Array.from({ length: rank }, () => cursor.u64(`a size of ${name}`)).reverse();
  const type = typeName(cursor.u32());
  const offset = cursor.u64(`the offset of ${name}`);
  if (!isReadType(type)) throw cursor.bad(`${name} is of type ${type}, which is not read`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) throw cursor.bad(`${name} has ${count} values`);
  if ((shape.at(-1) ?? 1) % blockValues(type) !== 0)
    throw cursor.bad(`rows of ${name} must be whole blocks of ${blockValues(type)} values, got ${shape.at(-1)}`);
  return { name, type, shape, offset, byteLength: typeBytes(type, count) };
}

function checkPlaces(cursor: GgufCursor, tensors: readonly GgufTensor[], fileLength: number): void {
  const names = new Set<string>();
  let end = 0;
  for (const { name, byteOffset, byteLength } of tensors) {
    if (names.has(name)) throw cursor.bad(`has the tensor ${name} twice`);
    names.add(name);
    if (byteOffset < end)
      throw cursor.bad(`${name} begins at ${byteOffset}, within the tensor before it, which ends at ${end}`);
    end = byteOffset + byteLength;
    if (end > fileLength) throw cursor.bad(`${name} ends at byte ${end}, the file at ${fileLength}`, true);
  }
}

function textOf(magic: number): string {
  return String.fromCharCode(...[0, 8, 16, 24].map((shift) => (magic >>> shift) & 0xff));
}
