import { bf16BitsToNumber, f16BitsToNumber } from '../float16.ts';

/** Decodes the block whose bytes begin at `at` into `out` from `to` on. Each product and sum is rounded to float32, as ggml does. */
export type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const { fround } = Math;

export const word16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
export const half = (bytes: Uint8Array, at: number): number => f16BitsToNumber(word16(bytes, at));
/** A byte as a two's complement number. */
export const signed = (byte: number): number => (byte << 24) >> 24;

/** What the four bits of IQ4_NL and IQ4_XS stand for. */
export const unevenLevels: readonly number[] = [
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/** 32 values of four bits: the low halves of 16 bytes, then the high halves. */
function nibbles(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
  value: (n: number, i: number) => number,
) {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i]!;
    out[to + i] = value(byte & 15, i);
    out[to + 16 + i] = value(byte >> 4, 16 + i);
  }
}

/** The fifth bits of 32 values, little-endian. */
function fifthBits(bytes: Uint8Array, at: number): (i: number) => number {
  const bits = word16(bytes, at) | (word16(bytes, at + 2) << 16);
  return (i) => ((bits >>> i) & 1) << 4;
}

export const decodeQ4_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  nibbles(bytes, at + 2, out, to, (n) => d * (n - 8));
};
export const decodeQ4_1: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [half(bytes, at), half(bytes, at + 2)];
  nibbles(bytes, at + 4, out, to, (n) => fround(d * n) + m);
};
export const decodeQ5_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  const fifth = fifthBits(bytes, at + 2);
  nibbles(bytes, at + 6, out, to, (n, i) => d * ((n | fifth(i)) - 16));
};
export const decodeQ5_1: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [half(bytes, at), half(bytes, at + 2)];
  const fifth = fifthBits(bytes, at + 4);
  nibbles(bytes, at + 8, out, to, (n, i) => fround(d * (n | fifth(i))) + m);
};
export const decodeQ8_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed(bytes[at + 2 + i]!);
};
export const decodeIQ4_NL: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  nibbles(bytes, at + 2, out, to, (n) => d * unevenLevels[n]!);
};
/** What the four bits of MXFP4 stand for, twice. */
export const fp4Levels: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** Half of the power of two that a byte stands for. */
export const e8m0Half = (byte: number): number => 2 ** (byte - 128);

/** A power of two for 32 values of four bits: one of the sign, two of the exponent, one of the fraction. */
export const decodeMXFP4: BlockDecoder = (bytes, at, out, to) => {
  const d = e8m0Half(bytes[at]!);
  nibbles(bytes, at + 1, out, to, (n) => d * fp4Levels[n]!);
};
export const decodeBF16: BlockDecoder = (bytes, at, out, to) => {
  out[to] = bf16BitsToNumber(word16(bytes, at));
};
