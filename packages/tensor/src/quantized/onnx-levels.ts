import type { BlockFormat } from '../dtype.ts';
import { f16BitsToNumber } from '../float16.ts';
import { scaleAndMinimum } from './decode-k.ts';
import { e8m0Half, fp4Levels, signed, word16 } from './decode-simple.ts';

/**
 * Blocks taken apart for ONNX Runtime: a value is `scale * (level - zero)`, less a minimum where there is one. Levels have
 * eight bits at most, a byte each, in the order of the values.
 */
export interface Levels {
  readonly blockSize: 16 | 32;
  /** Of a level. */
  readonly bits: 4 | 8;
  readonly zero: number;
  readonly levels: Uint8Array;
  readonly scales: Float32Array;
  readonly minima: Float32Array | undefined;
}

type Reader = (bytes: Uint8Array, at: number, to: number, out: Levels) => void;

const half = (bytes: Uint8Array, at: number) => f16BitsToNumber(word16(bytes, at));

/** Those of the eight parts of a block of q4_k or q5_k. */
function readScalesWithMinima(bytes: Uint8Array, at: number, to: number, { scales, minima }: Levels): void {
  const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, minimum] = scaleAndMinimum(bytes, at + 4, j);
    scales[(to >> 5) + j] = d * scale;
    minima![(to >> 5) + j] = dmin * minimum;
  }
}

const readers: Readonly<
  Record<
    BlockFormat,
    {
      readonly values: number;
      readonly bytes: number;
      readonly blockSize: 16 | 32;
      readonly bits: 4 | 8;
      readonly zero: number;
      readonly read: Reader;
    }
  >
> = {
  q4_0: {
    values: 32,
    bytes: 18,
    blockSize: 32,
    bits: 4,
    zero: 8,
    read(bytes, at, to, { levels, scales }) {
      scales[to >> 5] = half(bytes, at);
      for (let i = 0; i < 16; i++) {
        const byte = bytes[at + 2 + i]!;
        levels[to + i] = byte & 15;
        levels[to + 16 + i] = byte >> 4;
      }
    },
  },
  q8_0: {
    values: 32,
    bytes: 34,
    blockSize: 32,
    bits: 8,
    zero: 128,
    read(bytes, at, to, { levels, scales }) {
      scales[to >> 5] = half(bytes, at);
      for (let i = 0; i < 32; i++) levels[to + i] = bytes[at + 2 + i]! ^ 0x80;
    },
  },
  mxfp4: {
    values: 32,
    bytes: 17,
    blockSize: 32,
    bits: 8,
    zero: 16,
    read(bytes, at, to, { levels, scales }) {
      scales[to >> 5] = e8m0Half(bytes[at]!);
      for (let i = 0; i < 16; i++) {
        const byte = bytes[at + 1 + i]!;
        levels[to + i] = 16 + fp4Levels[byte & 15]!;
        levels[to + 16 + i] = 16 + fp4Levels[byte >> 4]!;
      }
    },
  },
  q4_k: {
    values: 256,
    bytes: 144,
    blockSize: 32,
    bits: 4,
    zero: 0,
    read(bytes, at, to, out) {
      readScalesWithMinima(bytes, at, to, out);
      for (let j = 0; j < 8; j++) {
        const [from, shift] = [at + 16 + ((j >> 1) << 5), (j & 1) << 2];
        for (let i = 0; i < 32; i++) out.levels[to + 32 * j + i] = (bytes[from + i]! >> shift) & 15;
      }
    },
  },
  q5_k: {
    values: 256,
    bytes: 176,
    blockSize: 32,
    bits: 8,
    zero: 0,
    read(bytes, at, to, out) {
      readScalesWithMinima(bytes, at, to, out);
      for (let j = 0; j < 8; j++) {
        const [from, shift] = [at + 48 + ((j >> 1) << 5), (j & 1) << 2];
        for (let i = 0; i < 32; i++) {
          const fifth = ((bytes[at + 16 + i]! >> j) & 1) << 4;
          out.levels[to + 32 * j + i] = ((bytes[from + i]! >> shift) & 15) | fifth;
        }
      }
    },
  },
  q6_k: {
    values: 256,
    bytes: 210,
    blockSize: 16,
    bits: 8,
    zero: 32,
    read(bytes, at, to, { levels, scales }) {
      const d = half(bytes, at + 208);
      for (let j = 0; j < 16; j++) scales[(to >> 4) + j] = d * signed(bytes[at + 192 + j]!);
      for (let i = 0; i < 256; i++) {
        const low = (bytes[at + ((i >> 7) << 6) + (i & 63)]! >> (4 * ((i >> 6) & 1))) & 15;
        const high = (bytes[at + 128 + ((i >> 7) << 5) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
        levels[to + i] = low | (high << 4);
      }
    },
  },
};

export function levelsOf(format: BlockFormat, bytes: Uint8Array, count: number): Levels {
  const { values, bytes: size, blockSize, bits, zero, read } = readers[format];
  const levels: Levels = {
    blockSize,
    bits,
    zero,
    levels: new Uint8Array(count),
    scales: new Float32Array(count / blockSize),
    minima: format === 'q4_k' || format === 'q5_k' ? new Float32Array(count / blockSize) : undefined,
  };
  for (let b = 0; b < count / values; b++) read(bytes, b * size, b * values, levels);
  return levels;
}
