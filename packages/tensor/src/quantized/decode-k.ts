import { type BlockDecoder, half, signed, unevenLevels, word16 } from './decode-simple.ts';

/* Blocks of 256 values in smaller ones, whose scales are quantised too. */

const { fround } = Math;

/** Scale and minimum of the smaller block `j` of eight, six bits each, packed into twelve bytes at `at` (Q4_K, Q5_K). */
export function scaleAndMinimum(bytes: Uint8Array, at: number, j: number): [number, number] {
  if (j < 4) return [bytes[at + j]! & 63, bytes[at + j + 4]! & 63];
  const low = bytes[at + j + 4]!;
  return [(low & 15) | ((bytes[at + j - 4]! >> 6) << 4), (low >> 4) | ((bytes[at + j]! >> 6) << 4)];
}

/** Scales in the first sixteen bytes, then two bits a value, then the scale of all and that of the minima. */
export const decodeQ2_K: BlockDecoder = (bytes, at, out, to) => {
  const [d, dmin] = [half(bytes, at + 80), half(bytes, at + 82)];
  for (let i = 0; i < 256; i++) {
    const scale = bytes[at + (i >> 4)]!;
    const q = (bytes[at + 16 + ((i >> 7) << 5) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    out[to + i] = fround(fround(d * (scale & 15)) * q) - fround(dmin * (scale >> 4));
  }
};

/** The third bits of the values, two bits each, twelve bytes of scales of six bits, the scale of all. */
export const decodeQ3_K: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 108);
  const scales = at + 96;
  for (let i = 0; i < 256; i++) {
    const j = i >> 4;
    const low = (bytes[scales + (j & 7)]! >> (4 * (j >> 3))) & 15;
    const high = (bytes[scales + 8 + (j & 3)]! >> (2 * (j >> 2))) & 3;
    const q = (bytes[at + 32 + ((i >> 7) << 5) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    const third = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
    out[to + i] = fround(d * ((low | (high << 4)) - 32)) * (third ? q : q - 4);
  }
};

/** Two scales, twelve bytes of scales and minima, four bits a value. */
export const decodeQ4_K: BlockDecoder = (bytes, at, out, to) => {
  const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, minimum] = scaleAndMinimum(bytes, at + 4, j);
    const [s, m] = [fround(d * scale), fround(dmin * minimum)];
    const [from, shift] = [at + 16 + ((j >> 1) << 5), (j & 1) << 2];
    for (let i = 0; i < 32; i++) out[to + j * 32 + i] = fround(s * ((bytes[from + i]! >> shift) & 15)) - m;
  }
};

/** As Q4_K, with the fifth bits of the values in between. */
export const decodeQ5_K: BlockDecoder = (bytes, at, out, to) => {
  const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, minimum] = scaleAndMinimum(bytes, at + 4, j);
    const [s, m] = [fround(d * scale), fround(dmin * minimum)];
    const [from, shift] = [at + 48 + ((j >> 1) << 5), (j & 1) << 2];
    for (let i = 0; i < 32; i++) {
      const fifth = ((bytes[at + 16 + i]! >> j) & 1) << 4;
      out[to + j * 32 + i] = fround(s * (((bytes[from + i]! >> shift) & 15) | fifth)) - m;
    }
  }
};

/** Four low bits a value, two high bits a value, sixteen scales, the scale of all. */
export const decodeQ6_K: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const low = (bytes[at + ((i >> 7) << 6) + (i & 63)]! >> (4 * ((i >> 6) & 1))) & 15;
    const high = (bytes[at + 128 + ((i >> 7) << 5) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    out[to + i] = fround(d * signed(bytes[at + 192 + (i >> 4)]!)) * ((low | (high << 4)) - 32);
  }
};

/** A scale, scales of six bits of eight smaller blocks (high parts first), four bits a value with uneven levels. */
export const decodeIQ4_XS: BlockDecoder = (bytes, at, out, to) => {
  const [d, highs] = [half(bytes, at), word16(bytes, at + 2)];
  for (let j = 0; j < 8; j++) {
    const low = (bytes[at + 4 + (j >> 1)]! >> (4 * (j & 1))) & 15;
    const s = fround(d * ((low | (((highs >> (2 * j)) & 3) << 4)) - 32));
    for (let i = 0; i < 32; i++) {
      const level = (bytes[at + 8 + j * 16 + (i & 15)]! >> (4 * (i >> 4))) & 15;
      out[to + j * 32 + i] = s * unevenLevels[level]!;
    }
  }
};
