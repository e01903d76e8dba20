import { describe } from './checks/describe.ts';
import { ArgumentError } from './checks/errors.ts';

/*
 * Half-precision numbers as bits in typed arrays of integers. `Float16Array` is not used: Node 20 has none, and where it
 * exists several native libraries misread it.
 */

/** The float32 value of one IEEE 754 binary16, exactly. `bits` is read modulo 2^16. */
export function f16BitsToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction * 2 ** -10) * 2 ** (exponent - 15);
}

/**
 * The bits of the binary16 nearest to a number, ties to even; too large values become infinity, small ones subnormal.
 * The number is rounded to float32 first, as a stored float32 would be. NaN becomes a quiet NaN of the same sign.
 */
export function numberToF16Bits(value: number): number {
  return roundF32Bits(f32Bits(value));
}

/** The value of the binary16 nearest to a number, ties to even, without a stop at float32 on the way. */
export function roundToF16(value: number): number {
  const size = Math.abs(value);
  if (!(size < 65520)) return Number.isNaN(value) ? value : Math.sign(value) * Number.POSITIVE_INFINITY;
  if (size === 0) return value;
  // the distance of neighbours: 2^-24 below the normal numbers
  const step = 2 ** (Math.max(Math.floor(Math.log2(size)), -14) - 10);
  // added and taken away again, this rounds to whole steps, ties to even
  const shift = step * 2 ** 52;
  return Math.sign(value) * (size + shift - shift);
}

/** The float32 value of one bfloat16, exactly. `bits` is read modulo 2^16. */
export function bf16BitsToNumber(bits: number): number {
  return f32OfBits((bits & 0xffff) << 16);
}

/** The bits of the bfloat16 nearest to a number, ties to even. NaN stays NaN. */
export function numberToBf16Bits(value: number): number {
  return roundToBf16(f32Bits(value));
}

/** Widens binary16 bits to float32, exactly, into a new array. @throws ArgumentError for another array */
export function f16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  if (!(bits instanceof Uint16Array)) throw new ArgumentError(`f16ToF32: takes a Uint16Array, got ${describe(bits)}`);
  const out = new Float32Array(bits.length);
  widenF16(bits, new Uint32Array(out.buffer));
  return out;
}

/** Widens binary16 bits into the bits of float32, exactly. */
export function widenF16(bits: Uint16Array, words: Uint32Array): void {
  // not filled yet: the bits of the smallest number are not zero
  if (wide[1] === 0) for (let i = 0; i < wide.length; i++) wide[i] = widenF16Bits(i);
  for (let i = 0; i < bits.length; i++) words[i] = wide[bits[i]!]!;
}

/**
 * Rounds float32 values to binary16 bits (nearest, ties to even), into a new array.
 * @throws ArgumentError for another array
 */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  if (!(values instanceof Float32Array))
    throw new ArgumentError(`f32ToF16: takes a Float32Array, got ${describe(values)}`);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) bits[i] = roundF32Bits(words[i]!);
  return bits;
}

/** Widens bfloat16 bits to float32, exactly, into a new array. @throws ArgumentError for another array */
export function bf16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  if (!(bits instanceof Uint16Array)) throw new ArgumentError(`bf16ToF32: takes a Uint16Array, got ${describe(bits)}`);
  const out = new Float32Array(bits.length);
  widenBf16(bits, new Uint32Array(out.buffer));
  return out;
}

/** Widens bfloat16 bits into the bits of float32, exactly. */
export function widenBf16(bits: Uint16Array, words: Uint32Array): void {
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
}

/**
 * Rounds float32 values to bfloat16 bits (nearest, ties to even), into a new array.
 * @throws ArgumentError for another array
 */
export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  if (!(values instanceof Float32Array))
    throw new ArgumentError(`f32ToBf16: takes a Float32Array, got ${describe(values)}`);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) bits[i] = roundToBf16(words[i]!);
  return bits;
}

function roundToBf16(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

const oneFloat = new Float32Array(1);
const oneWord = new Uint32Array(oneFloat.buffer);

/** The bits of the float32 nearest to a number. */
export function f32Bits(value: number): number {
  oneFloat[0] = value;
  return oneWord[0]!;
}

/** The float32 value of its bits. */
export function f32OfBits(bits: number): number {
  oneWord[0] = bits;
  return oneFloat[0]!;
}

/** The float32 bits of every binary16, once they are asked for: looking them up is faster than working them out. */
const wide = new Uint32Array(65536);

/** binary16 bits to the float32 bits of the same value. */
function widenF16Bits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return sign | ((magnitude << 13) + ((127 - 15) << 23));
  if (magnitude === 0) return sign;
  // A subnormal: shift its leading bit up to where float32 leaves it out.
  const shift = Math.clz32(magnitude) - 21;
  return sign | ((((magnitude << shift) & 0x3ff) << 13) + ((127 - 14 - shift) << 23));
}

/** float32 bits to the bits of the nearest binary16, ties to even. */
function roundF32Bits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  // 65520 lies halfway between the largest binary16 and what would follow it: from there on it is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - ((127 - 15) << 23);
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  // At most half of the smallest subnormal: zero.
  if (magnitude <= 0x33000000) return sign;
  const exponent = magnitude >>> 23;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}
