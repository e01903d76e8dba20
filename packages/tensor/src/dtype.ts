import { DTypeError } from './checks/errors.ts';

/** Block-quantised element types, for weights: a block of 32 (q8_0, q4_0, mxfp4) or 256 values (q4_k, q5_k, q6_k) shares scales. */
export type BlockFormat = 'q8_0' | 'q4_0' | 'mxfp4' | 'q4_k' | 'q5_k' | 'q6_k';

/** Element types that are stored only: operations read them as f32 or f16, and most do not take them. */
export type StorageDType = 'bf16' | BlockFormat;

/**
 * Element types of tensors. `bool` is one byte a value on the host; f16 and bf16 travel on the host as their bits, block
 * formats as the bytes of their blocks.
 */
export type DType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool' | StorageDType;

/** What holds the values of a tensor on the host, by element type. */
export interface HostArrays {
  f32: Float32Array;
  f16: Uint16Array;
  i32: Int32Array;
  u32: Uint32Array;
  bool: Uint8Array;
  bf16: Uint16Array;
  q8_0: Uint8Array;
  q4_0: Uint8Array;
  mxfp4: Uint8Array;
  q4_k: Uint8Array;
  q5_k: Uint8Array;
  q6_k: Uint8Array;
}

/** A typed array of one of the element types; f16 as bits in a `Uint16Array`, bool as 0 and 1 in a `Uint8Array`. */
export type HostArray = HostArrays[DType];

const constructors = {
  f32: Float32Array,
  f16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint8Array,
  bf16: Uint16Array,
  q8_0: Uint8Array,
  q4_0: Uint8Array,
  mxfp4: Uint8Array,
  q4_k: Uint8Array,
  q5_k: Uint8Array,
  q6_k: Uint8Array,
};

/** Values and bytes of a block. */
export const blockSizes: Readonly<Record<BlockFormat, { readonly values: number; readonly bytes: number }>> = {
  q8_0: { values: 32, bytes: 34 },
  q4_0: { values: 32, bytes: 18 },
  mxfp4: { values: 32, bytes: 17 },
  q4_k: { values: 256, bytes: 144 },
  q5_k: { values: 256, bytes: 176 },
  q6_k: { values: 256, bytes: 210 },
};

/** Whether a dtype is one of the block-quantised ones. */
export function isBlockFormat(dtype: string): dtype is BlockFormat {
  return Object.hasOwn(blockSizes, dtype);
}

/** Whether values are only stored in this type, and computed with in another. */
export function isStorageDType(dtype: DType): dtype is StorageDType {
  return dtype === 'bf16' || isBlockFormat(dtype);
}

/** The length of the host array of `count` values: a value an element, or the bytes of the blocks. */
export function hostLength(dtype: DType, count: number): number {
  return isBlockFormat(dtype) ? count * byteSize[dtype] : count;
}

/** A zeroed host array of `count` values of `dtype`. @throws DTypeError for a name that is no dtype */
export function hostArray<D extends DType>(dtype: D, count: number): HostArrays[D] {
  if (!Object.hasOwn(constructors, dtype))
    throw new DTypeError(`hostArray: dtypes are ${Object.keys(constructors).join(', ')}, got ${String(dtype)}`);
  return new constructors[dtype](hostLength(dtype, count)) as HostArrays[D];
}

/** Whether `data` is the kind of array that holds `dtype` on the host. */
export function isHostArrayOf(dtype: DType, data: ArrayBufferView): data is HostArray {
  return data instanceof constructors[dtype];
}

/** The element type that a typed array holds when nothing else is said. */
export function dtypeOfArray(data: ArrayBufferView): DType | undefined {
  if (data instanceof Float32Array || data instanceof Float64Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint16Array) return 'f16';
  if (data instanceof Uint8Array) return 'bool';
  return undefined;
}

/** Bytes of one value in device and host storage (WebGPU keeps bool in four, see its executor); of a block, its part. */
export const byteSize: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  i32: 4,
  u32: 4,
  bool: 1,
  bf16: 2,
  q8_0: blockSizes.q8_0.bytes / blockSizes.q8_0.values,
  q4_0: blockSizes.q4_0.bytes / blockSizes.q4_0.values,
  mxfp4: blockSizes.mxfp4.bytes / blockSizes.mxfp4.values,
  q4_k: blockSizes.q4_k.bytes / blockSizes.q4_k.values,
  q5_k: blockSizes.q5_k.bytes / blockSizes.q5_k.values,
  q6_k: blockSizes.q6_k.bytes / blockSizes.q6_k.values,
};

/** Whether a dtype is f32 or f16: what functions compute in, and gradients are taken by. */
export function isFloat(dtype: DType): dtype is 'f32' | 'f16' {
  return dtype === 'f32' || dtype === 'f16';
}

/** The type that mixed operands meet in: bool < u32 < i32 < f16 < f32; types that are storage-only give way to any float, and are f32 among themselves. */
export function promote(a: DType, b: DType): DType {
  if (isStorageDType(a)) return isFloat(b) ? b : 'f32';
  if (isStorageDType(b)) return isFloat(a) ? a : 'f32';
  const order: readonly DType[] = ['bool', 'u32', 'i32', 'f16', 'f32'];
  return order[Math.max(order.indexOf(a), order.indexOf(b))]!;
}
