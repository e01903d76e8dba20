import { calledAs } from '../checks/called-as.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError } from '../checks/errors.ts';
import type { HostArrays } from '../dtype.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../float16.ts';

/** Element types of the safetensors format, as its headers name them. */
export type SafetensorsDType = keyof typeof itemSizes;

const itemSizes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  C64: 8,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  F6_E2M3: 0.75,
  F6_E3M2: 0.75,
  F4: 0.5,
} as const;

/** The element types of the format, in the order in which messages list them. */
export const safetensorsDTypes: readonly SafetensorsDType[] = Object.keys(itemSizes) as SafetensorsDType[];

export function isSafetensorsDType(value: unknown): value is SafetensorsDType {
  return typeof value === 'string' && Object.hasOwn(itemSizes, value);
}

/** Bytes of one element; F6 and F4 are packed, and a tensor of them takes whole bytes. */
export function itemSize(dtype: SafetensorsDType): number {
  return itemSizes[dtype];
}

/**
 * The values of floating-point tensor bytes as float32, in a new array (over the same memory for F32).
 * Exact for all but F64, which is rounded to the nearest.
 *
 * @param bytes A whole number of elements, starting at a multiple of the element size.
 * @throws DTypeError for integers, BOOL, C64, and F6 and F4, whose order in a byte the format leaves open.
 */
export function safetensorsToF32(dtype: SafetensorsDType, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (!(bytes instanceof Uint8Array))
    throw new ArgumentError(`safetensorsToF32: takes a Uint8Array, got ${describe(bytes)}`);
  const { buffer, byteOffset } = bytes;
  const length = bytes.byteLength / itemSizes[dtype];
  switch (dtype) {
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, length));
    case 'F32':
      return new Float32Array(buffer, byteOffset, length);
    case 'F16':
      return f16ToF32(new Uint16Array(buffer, byteOffset, length));
    case 'BF16':
      return bf16ToF32(new Uint16Array(buffer, byteOffset, length));
    case 'F8_E5M2':
      // The upper byte of a binary16.
      return f16ToF32(Uint16Array.from(bytes, (bits) => bits << 8));
    case 'F8_E4M3':
      return Float32Array.from(bytes, f8e4m3ToNumber);
    case 'F8_E8M0':
      return Float32Array.from(bytes, (bits) => (bits === 0xff ? Number.NaN : 2 ** (bits - 127)));
    case 'F8_E4M3FNUZ':
      return Float32Array.from(bytes, (bits) => fnuzToNumber(bits, 3));
    case 'F8_E5M2FNUZ':
      return Float32Array.from(bytes, (bits) => fnuzToNumber(bits, 2));
    default:
      throw new DTypeError(`safetensorsToF32: expected a floating-point dtype of 8 bits or more, got ${dtype}`);
  }
}

/**
 * The values of floating-point tensor bytes as a device takes them in `to`: `device.tensor(data, { shape, dtype: to })`. What
 * the file holds in that type is not converted and not copied, so BF16 may stay bf16; anything else goes by way of float32.
 *
 * @param bytes A whole number of elements, starting at a multiple of the element size.
 * @throws DTypeError for what `safetensorsToF32` does not take.
 */
export function safetensorsTo<D extends 'f32' | 'f16' | 'bf16'>(
  to: D,
  dtype: SafetensorsDType,
  bytes: Uint8Array<ArrayBuffer>,
): HostArrays[D] {
  checkOptions('safetensorsTo', { to, dtype }, { to: ['f32', 'f16', 'bf16'], dtype: 'text' });
  checkArguments('safetensorsTo', 'bytes', { bytes });
  const same = (to === 'f16' && dtype === 'F16') || (to === 'bf16' && dtype === 'BF16');
  if (same) return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2) as HostArrays[D];
  const floats = calledAs('safetensorsTo', () => safetensorsToF32(dtype, bytes));
  return (to === 'f32' ? floats : to === 'f16' ? f32ToF16(floats) : f32ToBf16(floats)) as HostArrays[D];
}

/** Four exponent bits of bias 7, three fraction bits, no infinity; only all ones is NaN (arXiv:2209.05433). */
function f8e4m3ToNumber(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 0xf;
  const fraction = bits & 7;
  if (exponent === 0xf && fraction === 7) return Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -9 : sign * (8 + fraction) * 2 ** (exponent - 10);
}

/** A bias of one more than the exponent's half, no infinity, and NaN in the place of -0 (arXiv:2206.02915). */
function fnuzToNumber(bits: number, fractionBits: 2 | 3): number {
  if (bits === 0x80) return Number.NaN;
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits & 0x7f) >> fractionBits;
  const fraction = bits & (2 ** fractionBits - 1);
  const least = 1 - 2 ** (6 - fractionBits) - fractionBits;
  return exponent === 0
    ? sign * fraction * 2 ** least
    : sign * (2 ** fractionBits + fraction) * 2 ** (exponent - 1 + least);
}
