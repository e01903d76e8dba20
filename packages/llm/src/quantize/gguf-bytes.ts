import type { GgufField } from '../gguf/gguf-field.ts';
import { type GgufType, typeBytes, typeNumber } from '../gguf/gguf-types.ts';

/** A tensor of a GGUF file that is written: its bytes are asked for when their turn comes. */
export interface GgufOutput {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly type: GgufType;
  /** All its bytes, in pieces. */
  pieces(): AsyncIterable<Uint8Array>;
}

const alignment = 32;
const encoder = new TextEncoder();

/**
 * The bytes of a GGUF file of version 3, piece by piece.
 * @param entries keys with their values, each as `ggufEntry` gives it or as it stands in another file
 */
export async function* ggufBytes(
  entries: readonly Uint8Array[],
  tensors: readonly GgufOutput[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const head: Uint8Array[] = [encoder.encode('GGUF'), u32(3), u64(tensors.length), u64(entries.length), ...entries];
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    head.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(typeNumber(type)), u64(offset));
    offset = aligned(offset + bytesOf(type, shape));
  }
  const length = head.reduce((sum, { byteLength }) => sum + byteLength, 0);
  yield* head;
  yield padding(length);
  for (const { type, shape, pieces } of tensors) {
    yield* pieces();
    yield padding(bytesOf(type, shape));
  }
}

const bytesOf = (type: GgufType, shape: readonly number[]): number =>
  typeBytes(
    type,
    shape.reduce((product, size) => product * size, 1),
  );
const aligned = (length: number): number => Math.ceil(length / alignment) * alignment;
const padding = (length: number): Uint8Array => new Uint8Array(aligned(length) - length);

/** A key with its value as a file has it. */
export function ggufEntry(key: string, [kind, value]: GgufField): Uint8Array {
  const parts = [text(key)];
  switch (kind) {
    case 'u32':
      parts.push(u32(4), u32(value));
      break;
    case 'f32':
      parts.push(u32(6), f32(value));
      break;
    case 'bool':
      parts.push(u32(7), Uint8Array.of(value ? 1 : 0));
      break;
    case 'string':
      parts.push(u32(8), text(value));
      break;
    case 'strings':
      parts.push(u32(9), u32(8), u64(value.length), ...value.map(text));
      break;
    case 'f32s':
      parts.push(u32(9), u32(6), u64(value.length), bytes(Float32Array.from(value)));
      break;
    case 'i32s':
      parts.push(u32(9), u32(5), u64(value.length), bytes(Int32Array.from(value)));
      break;
    case 'bools':
      parts.push(u32(9), u32(7), u64(value.length), Uint8Array.from(value, Number));
      break;
  }
  return joined(parts);
}

const bytes = ({ buffer }: { readonly buffer: ArrayBuffer }): Uint8Array => new Uint8Array(buffer);
const u32 = (value: number): Uint8Array => bytes(Uint32Array.of(value));
const u64 = (value: number): Uint8Array => bytes(BigUint64Array.of(BigInt(value)));
const f32 = (value: number): Uint8Array => bytes(Float32Array.of(value));

function text(value: string): Uint8Array {
  const encoded = encoder.encode(value);
  return joined([u64(encoded.byteLength), encoded]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
