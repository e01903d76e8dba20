import { DTypeError, FileFormatError, ShapeError } from '../checks/errors.ts';
import { blockSizes, type DType, type HostArray, hostArray, hostLength, isBlockFormat } from '../dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import { formatShape, sizeOf } from '../shape.ts';
import { type SafetensorsDType, safetensorsTo, safetensorsToF32 } from './safetensors-dtype.ts';
import type { SafetensorsInfo } from './safetensors-header.ts';
import type { SafetensorsSource } from './safetensors-writer.ts';

/** A tensor as a file has it. */
export interface SavedTensor extends SafetensorsSource {
  /** The dtype of a block format, for which files have none. */
  readonly blocks?: DType;
}
export type SavedTensors = readonly (readonly [string, SavedTensor])[];

const fileTypes: Partial<Record<DType, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
  bool: 'BOOL',
};

/** Where a file says which of its tensors are blocks. */
const blocksKey = 'block_formats';

/** @throws ShapeError for symbolic dimensions, which have no values */
export function savedTensor(operation: string, name: string, tensor: Tensor): SavedTensor {
  tensor.assertUsable(operation);
  if (!tensor.shape.every((size) => typeof size === 'number'))
    throw new ShapeError(`${operation}: ${name} has symbolic dimensions, ${formatShape(tensor.shape)}`);
  const shape = tensor.shape as readonly number[];
  const read = () => tensor.data();
  const dtype = fileTypes[tensor.dtype];
  if (dtype) return { dtype, shape, read };
  const rowBytes = hostLength(tensor.dtype, shape.at(-1)!);
  return { dtype: 'U8', shape: [...shape.slice(0, -1), rowBytes], read, blocks: tensor.dtype };
}

/** The caller's texts, with the dtypes of blocks. */
export function metadataOf(saved: SavedTensors, texts: Readonly<Record<string, string>>): Record<string, string> {
  const blocks = saved.flatMap(([name, { blocks }]) => (blocks ? [[name, blocks] as const] : []));
  return blocks.length === 0 ? { ...texts } : { ...texts, [blocksKey]: JSON.stringify(Object.fromEntries(blocks)) };
}

/** The tensors of a file that are blocks, by name. @throws FileFormatError */
export function blocksOf(metadata: ReadonlyMap<string, string>): ReadonlyMap<string, DType> {
  const text = metadata.get(blocksKey);
  if (text === undefined) return new Map();
  const wrong = () =>
    new FileFormatError(
      `loadTensors: the file's ${blocksKey} must be names with block formats, got ${text.slice(0, 80)}`,
      {
        code: 'ERR_SAFETENSORS_HEADER',
      },
    );
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw wrong();
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw wrong();
  const entries = Object.entries(parsed);
  if (!entries.every(([, dtype]) => typeof dtype === 'string' && isBlockFormat(dtype))) throw wrong();
  return new Map(entries as [string, DType][]);
}

/** What a tensor of a file is on a device. */
export interface LoadedType {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

const integers = new Set<SafetensorsDType>(['I8', 'U8', 'I16', 'U16', 'I32', 'I64', 'U64']);

/** @throws DTypeError for what no device has; FileFormatError for blocks that are none */
export function loadedType(
  name: string,
  { dtype, shape }: SafetensorsInfo,
  blocks: DType | undefined,
  float: 'f32' | 'f16' | 'bf16' | undefined,
): LoadedType {
  if (blocks && isBlockFormat(blocks)) {
    const { values, bytes } = blockSizes[blocks];
    const row = shape.at(-1);
    if (dtype !== 'U8' || row === undefined || row % bytes !== 0)
      throw new FileFormatError(`loadTensors: ${name} is ${dtype} [${shape}], which are no blocks of ${blocks}`, {
        code: 'ERR_SAFETENSORS_HEADER',
      });
    return { dtype: blocks, shape: [...shape.slice(0, -1), (row / bytes) * values] };
  }
  if (dtype === 'BOOL') return { dtype: 'bool', shape };
  if (dtype === 'U32') return { dtype: 'u32', shape };
  if (integers.has(dtype)) return { dtype: 'i32', shape };
  if (dtype === 'C64' || dtype === 'F4' || dtype.startsWith('F6_'))
    throw new DTypeError(`loadTensors: ${name} is ${dtype}, which no dtype of a device holds`);
  return { dtype: float ?? (dtype === 'F16' ? 'f16' : dtype === 'BF16' ? 'bf16' : 'f32'), shape };
}

/** @throws DTypeError for a whole number that i32 cannot hold; FileFormatError for a bool that is none */
export function loadedValues(
  name: string,
  from: SafetensorsDType,
  { dtype, shape }: LoadedType,
  bytes: Uint8Array<ArrayBuffer>,
): HostArray {
  const { buffer, byteOffset } = bytes;
  const count = sizeOf(shape);
  if (isBlockFormat(dtype)) return bytes;
  if (dtype === 'bool') {
    if (bytes.some((byte) => byte > 1))
      throw new FileFormatError(`loadTensors: ${name} is BOOL and has bytes other than 0 and 1`);
    return bytes;
  }
  if (from === 'U32') return new Uint32Array(buffer, byteOffset, count);
  if (from === 'I32') return new Int32Array(buffer, byteOffset, count);
  if (dtype === 'i32') return wholeNumbers(name, from, bytes, count);
  return dtype === 'f32' ? safetensorsToF32(from, bytes) : safetensorsTo(dtype as 'f16', from, bytes);
}

function wholeNumbers(
  name: string,
  from: SafetensorsDType,
  { buffer, byteOffset }: Uint8Array<ArrayBuffer>,
  count: number,
) {
  const kinds = {
    I8: Int8Array,
    U8: Uint8Array,
    I16: Int16Array,
    U16: Uint16Array,
    I64: BigInt64Array,
    U64: BigUint64Array,
  };
  const values = new kinds[from as keyof typeof kinds](buffer, byteOffset, count);
  const out = hostArray('i32', count);
  for (let i = 0; i < count; i++) {
    out[i] = Number(values[i]!);
    if (BigInt(out[i]!) !== BigInt(values[i]!))
      throw new DTypeError(`loadTensors: ${name} has ${values[i]} at place ${i}, which is no i32`);
  }
  return out;
}
