import { f32OfBits, numberToF16Bits } from '../float16.ts';
import { e8m0Half } from './decode-simple.ts';

/**
 * Quantises the block of `values` that begins at `from` into `bytes` from `at` on. `words` are the bits of the values, in the
 * same memory: magnitudes compare fastest as whole numbers. Where a value is not finite, a scale of the block is not.
 */
export type BlockEncoder = (
  values: Float32Array,
  words: Uint32Array,
  from: number,
  bytes: Uint8Array,
  at: number,
) => void;

const { fround } = Math;

export function putHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = numberToF16Bits(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** The bits of the largest of `count` values (an even number) without its sign; of NaN where there is one. */
function largestMagnitude(words: Uint32Array, from: number, count: number): number {
  // in two chains, each of which takes what is larger by the sign of a difference: a branch would be guessed wrong often
  let even = 0;
  let odd = 0;
  for (let i = from; i < from + count; i += 2) {
    const ofEven = even - (words[i]! & 0x7fffffff);
    const ofOdd = odd - (words[i + 1]! & 0x7fffffff);
    even -= ofEven & (ofEven >> 31);
    odd -= ofOdd & (ofOdd >> 31);
  }
  return even > odd ? even : odd;
}

/** The value that is largest without its sign, with its sign; the first of several; NaN where there is one. */
export function largest(values: Float32Array, words: Uint32Array, from: number, count: number): number {
  const most = largestMagnitude(words, from, count);
  if (most === 0) return 0;
  let i = from;
  while ((words[i]! & 0x7fffffff) !== most) i++;
  return values[i]!;
}

/** One scale for 32 values of eight bits: the largest becomes 127. */
export const encodeQ8_0: BlockEncoder = (values, words, from, bytes, at) => {
  const d = fround(f32OfBits(largestMagnitude(words, from, 32)) / 127);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 32; i++) {
    // to the nearest whole number, from the middle away from zero: by way of halves, without a branch on the sign
    const halves = (2 * fround(values[from + i]! * inverse)) | 0;
    bytes[at + 2 + i] = (halves + 1 + (halves >> 31)) >> 1;
  }
};

/** In powers of two, a step for each byte that stands for one. */
const perStep = Float64Array.from({ length: 256 }, (_, byte) => 1 / e8m0Half(byte));

/** The four bits that come nearest to a value in steps, the smaller one in the middle between two. */
function fp4(steps: number): number {
  const size = Math.abs(steps);
  const upper = size <= 5 ? 4 : size <= 7 ? 5 : size <= 10 ? 6 : 7;
  const level = size > 3.5 ? upper : size <= 0.5 ? 0 : size <= 1.5 ? 1 : size <= 2.5 ? 2 : 3;
  return steps < 0 && level > 0 ? level | 8 : level;
}

/** A power of two for 32 values of four bits: the largest becomes 4 to 8 times its half. */
export const encodeMXFP4: BlockEncoder = (values, words, from, bytes, at) => {
  const exponent = largestMagnitude(words, from, 32) >>> 23;
  const scale = exponent >= 255 ? 255 : Math.max(0, exponent - 2);
  bytes[at] = scale;
  const steps = perStep[scale]!;
  for (let i = 0; i < 16; i++)
    bytes[at + 1 + i] = fp4(values[from + i]! * steps) | (fp4(values[from + i + 16]! * steps) << 4);
};

/** The level of four bits of a value in steps; 0 for NaN, which zero becomes where a step is too small for an inverse. */
function level(steps: number): number {
  const shifted = fround(steps + 8.5);
  return shifted >= 15 ? 15 : shifted | 0;
}

/** One scale for 32 values of four bits: the largest becomes -8. */
export const encodeQ4_0: BlockEncoder = (values, words, from, bytes, at) => {
  const d = fround(largest(values, words, from, 32) / -8);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 16; i++) {
    const low = level(fround(values[from + i]! * inverse));
    const high = level(fround(values[from + i + 16]! * inverse));
    bytes[at + 2 + i] = low | (high << 4);
  }
};
