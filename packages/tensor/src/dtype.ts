/** Element types of tensors. `bool` is one byte a value on the host; f16 travels on the host as its bits. */
export type DType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool';

/** What holds the values of a tensor on the host, by element type. */
export interface HostArrays {
  f32: Float32Array;
  f16: Uint16Array;
  i32: Int32Array;
  u32: Uint32Array;
  bool: Uint8Array;
}

/** A typed array of one of the element types; f16 as bits in a `Uint16Array`, bool as 0 and 1 in a `Uint8Array`. */
export type HostArray = HostArrays[DType];

const constructors = { f32: Float32Array, f16: Uint16Array, i32: Int32Array, u32: Uint32Array, bool: Uint8Array };

/** A zeroed host array of `length` values of `dtype`. */
export function hostArray<D extends DType>(dtype: D, length: number): HostArrays[D] {
  return new constructors[dtype](length) as HostArrays[D];
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

/** Bytes of one value in device and host storage (WebGPU keeps bool in four, see its executor). */
export const byteSize: Readonly<Record<DType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4, bool: 1 };

export function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f16';
}

/** The type that mixed operands meet in: bool < u32 < i32 < f16 < f32. */
export function promote(a: DType, b: DType): DType {
  const order: readonly DType[] = ['bool', 'u32', 'i32', 'f16', 'f32'];
  return order[Math.max(order.indexOf(a), order.indexOf(b))]!;
}
