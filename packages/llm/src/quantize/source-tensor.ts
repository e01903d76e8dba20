import { bf16ToF32, FileFormatError, f16ToF32 } from '@heddle/tensor';
import { decodeBlocks, isBlockType } from '@heddle/tensor/quantized';
import { type SafetensorsFile, safetensorsToF32 } from '@heddle/tensor/safetensors';
import type { GgufFile } from '../gguf/gguf-file.ts';
import { type GgufType, typeBytes } from '../gguf/gguf-types.ts';

/** A tensor whose rows are read a few at a time. */
export interface SourceTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  /** Values of rows (along the last axis) from one on. @throws FileFormatError */
  rows(from: number, count: number): Promise<Float32Array>;
}

/** Rows of a shape, and the values of each. */
export function rowsOf(shape: readonly number[]): { readonly rows: number; readonly length: number } {
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), length: shape.at(-1) ?? 1 };
}

/** A tensor of a GGUF file, rows in the order that they have there. */
export function ggufTensor(file: GgufFile, name: string): SourceTensor {
  const { shape, type, byteOffset } = file.tensors.get(name)!;
  const { length } = rowsOf(shape);
  const rowBytes = typeBytes(type, length);
  return {
    name,
    shape,
    async rows(from, count) {
      const bytes = await file.bytes(byteOffset + from * rowBytes, count * rowBytes);
      return floats(type, bytes, [count, length]);
    },
  };
}

function floats(type: GgufType, bytes: Uint8Array<ArrayBuffer>, shape: readonly number[]): Float32Array {
  if (type === 'F32') return new Float32Array(bytes.buffer);
  if (type === 'F16') return f16ToF32(new Uint16Array(bytes.buffer));
  if (type === 'BF16') return bf16ToF32(new Uint16Array(bytes.buffer));
  if (isBlockType(type)) return decodeBlocks(type, bytes, shape);
  throw new FileFormatError(`quantize: tensors of type ${type} are not read`, { code: 'ERR_WEIGHTS' });
}

/**
 * A tensor of a safetensors file.
 * @param options.name what it is to be called
 * @param options.headRows turns the rows of each head of so many from halves into pairs, as GGUF files have them
 */
export function safetensorsTensor(
  file: SafetensorsFile,
  stored: string,
  { name, headRows }: { readonly name: string; readonly headRows?: number | undefined },
): SourceTensor {
  const { dtype, shape, byteLength } = file.info(stored);
  const { rows, length } = rowsOf(shape);
  const rowBytes = rows === 0 ? 0 : byteLength / rows;
  const read = async (from: number, count: number) =>
    safetensorsToF32(dtype, await file.read(stored, { offset: from * rowBytes, length: count * rowBytes }));
  if (headRows === undefined) return { name, shape, rows: read };
  // a bias has one value for each row of its weight
  const [width, total] = shape.length < 2 ? [1, length] : [length, rows];
  return {
    name,
    shape,
    async rows(from, count) {
      if (shape.length < 2) return inPairs(await read(0, 1), total, width, headRows);
      return inPairs(await read(from, count), count, width, headRows);
    },
  };
}

/** Rows (i, i + half) of each head side by side. */
function inPairs(values: Float32Array, rows: number, width: number, headRows: number): Float32Array {
  const half = headRows / 2;
  const sorted = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    const within = i % headRows;
    const to = i - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    sorted.set(values.subarray(i * width, (i + 1) * width), to * width);
  }
  return sorted;
}
