import { type BlockFormat, bf16ToF32, blockSizes, FileFormatError, f16ToF32 } from '@heddle/tensor';
import { type BlockType, decodeBlocks, quantize } from '@heddle/tensor/quantized';
import { partLength, storedAs, toF16 } from '../models/safetensors-weights.ts';
import type { StoredTensor, WeightDType, WeightFile } from '../models/weight-file.ts';
import type { GgufFile } from './gguf-file.ts';
import type { GgufTensor } from './gguf-header.ts';
import type { GgufType } from './gguf-types.ts';

/** What a file calls a weight, and how its rows stand. */
export interface GgufName {
  readonly stored: string;
  /** Rows of each head are in pairs of neighbours rather than in halves: heads of so many rows. */
  readonly pairedRows?: number;
  /** Its values, all f32, are 1 more than what Hugging Face's files have. */
  readonly plusOne?: boolean;
}

const native: Readonly<Partial<Record<GgufType, BlockFormat>>> = {
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  MXFP4: 'mxfp4',
  Q4_K: 'q4_k',
  Q5_K: 'q5_k',
  Q6_K: 'q6_k',
};

/** The nearest format that has as many bits, for rows of whole blocks of 256 values, and for others. */
const nearest: Readonly<Partial<Record<GgufType, readonly [BlockFormat, BlockFormat]>>> = {
  Q2_K: ['q4_k', 'q4_0'],
  Q3_K: ['q4_k', 'q4_0'],
  IQ4_XS: ['q4_k', 'q4_0'],
  IQ4_NL: ['q4_k', 'q4_0'],
  Q4_1: ['q5_k', 'q8_0'],
  Q5_0: ['q5_k', 'q8_0'],
  Q5_1: ['q5_k', 'q8_0'],
};

/** The tensors of a GGUF file by the names that Hugging Face has for them. The file is closed with it. */
export function ggufWeights(file: GgufFile, names: ReadonlyMap<string, GgufName>): WeightFile {
  const present = new Map([...names].filter(([, { stored }]) => file.tensors.has(stored)));
  const known = new Set([...present.values()].map(({ stored }) => stored));
  for (const stored of file.tensors.keys()) if (!known.has(stored)) present.set(stored, { stored });
  const order = new Map([...file.tensors.keys()].map((stored, index) => [stored, index]));
  const inOrder = [...present]
    .sort(([, a], [, b]) => order.get(a.stored)! - order.get(b.stored)!)
    .map(([name]) => name);
  const tensorOf = (name: string) => file.tensors.get(present.get(name)!.stored)!;
  const bytesOf = async (name: string) => {
    const { stored, pairedRows, plusOne } = present.get(name)!;
    const bytes = await file.read(stored);
    if (plusOne && tensorOf(name).type === 'F32')
      return new Uint8Array(new Float32Array(bytes.buffer).map((value) => value - 1).buffer);
    return pairedRows === undefined ? bytes : inHalves(bytes, tensorOf(name).shape[0]!, pairedRows);
  };
  return {
    label: file.label,
    isHuggingFace: false,
    names: () => inOrder,
    has: (name) => present.has(name),
    info: (name) => tensorOf(name),
    async read({ stored: [name] }, wanted) {
      const tensor = tensorOf(name!);
      return storedTensor(`${file.label}: ${tensor.name}`, tensor, await bytesOf(name!), wanted);
    },
    readInParts({ stored: [name] }, wanted, partBytes) {
      const tensor = tensorOf(name!);
      const { type, shape, byteOffset, byteLength } = tensor;
      const { pairedRows = 1 } = present.get(name!)!;
      // what BF16 becomes depends on all of its values
      if (shape.length < 2 || (type === 'BF16' && wanted === undefined)) return undefined;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const rowBytes = byteLength / rows;
      const length = partLength(rowBytes * pairedRows, partBytes);
      const read = async (offset: number) => {
        const bytes = await file.bytes(byteOffset + offset, Math.min(length, byteLength - offset));
        const count = bytes.length / rowBytes;
        const inOrder = pairedRows === 1 ? bytes : inHalves(bytes, count, pairedRows);
        return storedTensor(
          `${file.label}: ${tensor.name}`,
          { ...tensor, shape: [count, shape.at(-1)!] },
          inOrder,
          wanted,
        );
      };
      const parts = async function* () {
        for (let offset = 0; offset < byteLength; offset += length) yield (await read(offset)).data;
      };
      return { ...becomes(tensor, wanted), parts: parts() };
    },
    async equal(a, b) {
      const [left, right] = [tensorOf(a), tensorOf(b)];
      if (left.type !== right.type || left.byteLength !== right.byteLength) return false;
      const [x, y] = [await bytesOf(a), await bytesOf(b)];
      return x.every((byte, i) => byte === y[i]);
    },
    close: () => file.close(),
  };
}

/** How a matrix is stored, before it is read; BF16 is asked for as something. */
function becomes({ type, shape }: GgufTensor, wanted: WeightDType | undefined): Omit<StoredTensor, 'data'> {
  const same = native[type];
  if (wanted !== undefined)
    return { dtype: wanted === same || (type === 'F16' && wanted === 'f16') ? wanted : storedAs(shape, wanted) };
  if (same) return { dtype: same };
  if (type === 'F16' || type === 'F32') return { dtype: type === 'F16' ? 'f16' : 'f32' };
  const [large, small] = nearest[type]!;
  const dtype = shape.at(-1)! % blockSizes[large].values === 0 ? large : small;
  return { dtype, note: `${type} is stored as ${dtype}` };
}

function storedTensor(
  label: string,
  { type, shape }: GgufTensor,
  bytes: Uint8Array<ArrayBuffer>,
  wanted: WeightDType | undefined,
): StoredTensor {
  const same = native[type];
  if (same && shape.length >= 2 && (wanted === undefined || wanted === same)) {
    checkScales(label, same, bytes);
    return { dtype: same, data: bytes };
  }
  if (type === 'F16' && shape.length >= 2 && (wanted === undefined || wanted === 'f16'))
    return { dtype: 'f16', data: new Uint16Array(bytes.buffer) };
  const values = floats(type, bytes, shape);
  if (wanted !== undefined) return as(label, values, storedAs(shape, wanted));
  if (shape.length < 2 || type === 'F32') return { dtype: 'f32', data: values };
  if (type === 'BF16') return as(label, values, reachesF16(values) ? 'f16' : 'f32', 'BF16');
  const [large, small] = nearest[type]!;
  return as(label, values, shape.at(-1)! % blockSizes[large].values === 0 ? large : small, type);
}

function as(label: string, values: Float32Array<ArrayBuffer>, dtype: WeightDType, from?: GgufType): StoredTensor {
  const note = from === undefined ? {} : { note: `${from} is stored as ${dtype}` };
  if (dtype === 'f32') return { dtype, data: values, ...note };
  if (dtype === 'f16') return { dtype, data: toF16(label, values), ...note };
  if (!values.every(Number.isFinite)) throw damaged(label, 'holds values that are not finite');
  return { dtype, data: quantize(values, dtype), ...note };
}

/** The values of a tensor. */
function floats(type: GgufType, bytes: Uint8Array<ArrayBuffer>, shape: readonly number[]): Float32Array<ArrayBuffer> {
  if (type === 'F32') return new Float32Array(bytes.buffer);
  if (type === 'F16') return f16ToF32(new Uint16Array(bytes.buffer));
  if (type === 'BF16') return bf16ToF32(new Uint16Array(bytes.buffer));
  return decodeBlocks(type as BlockType, bytes, shape);
}

function reachesF16(values: Float32Array): boolean {
  return values.every((value) => Math.abs(value) <= 65504);
}

/** Where the f16 scales of a format's blocks lie: a damaged one would make every result NaN. Those of mxfp4 are powers of two. */
const scales: Readonly<Record<BlockFormat, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  mxfp4: [],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

function checkScales(label: string, format: BlockFormat, bytes: Uint8Array): void {
  const { bytes: size } = blockSizes[format];
  for (const place of scales[format])
    for (let at = place; at < bytes.length; at += size)
      if ((bytes[at + 1]! & 0x7c) === 0x7c)
        throw damaged(label, `block ${Math.floor(at / size)} has a scale that is not finite`);
}

/** llama.cpp turns neighbours (2i, 2i + 1) of a head, Hugging Face's files halves (i, i + D / 2): rows back in their place. */
function inHalves(bytes: Uint8Array<ArrayBuffer>, rows: number, headRows: number): Uint8Array<ArrayBuffer> {
  const row = bytes.length / rows;
  const half = headRows / 2;
  const sorted = new Uint8Array(bytes.length);
  for (let i = 0; i < rows; i++) {
    const within = i % headRows;
    const from = i - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    sorted.set(bytes.subarray(from * row, (from + 1) * row), i * row);
  }
  return sorted;
}

function damaged(label: string, what: string): FileFormatError {
  return new FileFormatError(`weights: ${label}: ${what}`, { code: 'ERR_WEIGHTS' });
}
