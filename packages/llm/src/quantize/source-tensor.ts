import { bf16ToF32, FileFormatError, f16ToF32 } from '@heddle/tensor';
import { decodeBlocks, isBlockType } from '@heddle/tensor/quantized';
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
