import { bf16ToF32, f16ToF32 } from '@heddle/tensor';
import { type BlockType, decodeBlocks, quantize } from '@heddle/tensor/quantized';
import type { Arrangement, LatentParts } from './families/arrangement.ts';
import type { GgufFile } from './gguf-file.ts';
import type { GgufTensor } from './gguf-header.ts';
import { blockValues, type GgufType, typeBytes } from './gguf-types.ts';

/** Bytes of a weight in a type that files have. */
interface ArrangedTensor {
  readonly type: GgufType;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where blocks could not stay as they are. */
  readonly note?: string;
}

/** The bytes of a weight, of those of the tensors that hold it. */
export async function arrangedTensor(
  file: GgufFile,
  label: string,
  { tensors, how }: { readonly tensors: readonly GgufTensor[]; readonly how: Arrangement },
): Promise<ArrangedTensor> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const { name } of tensors) parts.push(await file.read(name));
  if (how.latent) return latentTensor(tensors, parts, how.latent);
  let { type, bytes } = joined(tensors, parts);
  const sizes = tensors[0]!.shape;
  const width = sizes.length < 2 ? 1 : sizes.at(-1)!;
  const rows = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0) / width;
  if (how.values) {
    const floats = ggufFloats(type, bytes, [rows, width]);
    const values = floats.map(how.values === 'plus-one' ? (x) => x - 1 : (x) => Math.log(-x));
    [type, bytes] = ['F32', new Uint8Array(values.buffer)];
  }
  if (how.rows) bytes = rowsInOrder(bytes, rows, how.rows());
  if (!how.columns) return { type, bytes };
  const ordered = columnsInOrder(type, bytes, rows, how.columns());
  if (ordered) return { type, bytes: ordered };
  const floats = ggufFloats(type, bytes, [rows, width]);
  const values = new Uint8Array(floats.buffer);
  const moved = new Float32Array(columnsInOrder('F32', values, rows, how.columns())!.buffer);
  const note = `${type} is stored as q8_0, as blocks are not those of heads (${label})`;
  return { type: 'Q8_0', bytes: quantize(moved, 'q8_0'), note };
}

/** Tensors whose rows follow each other; as floats where their types differ. */
function joined(tensors: readonly GgufTensor[], parts: readonly Uint8Array<ArrayBuffer>[]): ArrangedTensor {
  const [{ type }] = tensors as readonly [GgufTensor];
  if (parts.length === 1) return { type, bytes: parts[0]! };
  if (tensors.every((tensor) => tensor.type === type)) return { type, bytes: together(parts) };
  const floats = parts.map((bytes, i) => ggufFloats(tensors[i]!.type, bytes, tensors[i]!.shape));
  return { type: 'F32', bytes: together(floats.map((values) => new Uint8Array(values.buffer))) };
}

/** What makes keys of a latent row turned back, beside what makes values: rows of each head's keys, then of its values. */
function latentTensor(
  [keys, values]: readonly GgufTensor[],
  [keyBytes, valueBytes]: readonly Uint8Array<ArrayBuffer>[],
  { heads, plain, value, latent }: LatentParts,
): ArrangedTensor {
  const k = ggufFloats(keys!.type, keyBytes!, keys!.shape);
  const v = ggufFloats(values!.type, valueBytes!, values!.shape);
  const all = new Float32Array(heads * (plain + value) * latent);
  for (let head = 0; head < heads; head++) {
    const start = head * (plain + value) * latent;
    for (let row = 0; row < plain; row++)
      for (let r = 0; r < latent; r++) all[start + row * latent + r] = k[(head * latent + r) * plain + row]!;
    all.set(v.subarray(head * value * latent, (head + 1) * value * latent), start + plain * latent);
  }
  if (keys!.type === 'F32' || keys!.type === 'F16') return { type: 'F32', bytes: new Uint8Array(all.buffer) };
  if (latent % blockValues('Q8_0') !== 0) return { type: 'F32', bytes: new Uint8Array(all.buffer) };
  const note = `${keys!.type} is stored as q8_0, as keys of latent rows are turned`;
  return { type: 'Q8_0', bytes: quantize(all, 'q8_0'), note };
}

/** The values of a tensor. */
export function ggufFloats(
  type: GgufType,
  bytes: Uint8Array<ArrayBuffer>,
  shape: readonly number[],
): Float32Array<ArrayBuffer> {
  if (type === 'F32') return new Float32Array(bytes.buffer);
  if (type === 'F16') return f16ToF32(new Uint16Array(bytes.buffer));
  if (type === 'BF16') return bf16ToF32(new Uint16Array(bytes.buffer));
  return decodeBlocks(type as BlockType, bytes, shape);
}

/** Rows in another order, in groups of as many as it has. */
export function rowsInOrder(
  bytes: Uint8Array<ArrayBuffer>,
  rows: number,
  order: readonly number[],
): Uint8Array<ArrayBuffer> {
  const row = bytes.length / rows;
  const sorted = new Uint8Array(bytes.length);
  for (let i = 0; i < rows; i++) {
    const within = i % order.length;
    const from = i - within + order[within]!;
    sorted.set(bytes.subarray(from * row, (from + 1) * row), i * row);
  }
  return sorted;
}

/** Values of each row in another order; undefined where it would part blocks. */
function columnsInOrder(
  type: GgufType,
  bytes: Uint8Array<ArrayBuffer>,
  rows: number,
  order: readonly number[],
): Uint8Array<ArrayBuffer> | undefined {
  const unit = blockValues(type);
  const blocks = order.filter((_, i) => i % unit === 0).map((from) => from / unit);
  const isWhole = order.every((from, i) => from === blocks[Math.floor(i / unit)]! * unit + (i % unit));
  if (!isWhole || !blocks.every(Number.isInteger)) return undefined;
  const size = typeBytes(type, unit);
  const sorted = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++)
    for (const [i, from] of blocks.entries()) {
      const start = row * blocks.length;
      sorted.set(bytes.subarray((start + from) * size, (start + from + 1) * size), (start + i) * size);
    }
  return sorted;
}

function together(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
