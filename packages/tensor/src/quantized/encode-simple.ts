import { numberToF16Bits } from '../float16.ts';

/** Quantises the block of `values` that begins at `from` into `bytes` from `at` on. */
export type BlockEncoder = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => void;

const { fround, abs } = Math;

export function putHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = numberToF16Bits(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** The value that is largest without its sign, with its sign; the first of several. */
export function largest(values: Float32Array, from: number, count: number): number {
  let [found, size] = [0, 0];
  for (let i = from; i < from + count; i++) {
    const value = values[i]!;
    if (abs(value) > size) {
      found = value;
      size = abs(value);
    }
  }
  return found;
}

/** One scale for 32 values of eight bits: the largest becomes 127. */
export const encodeQ8_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(abs(largest(values, from, 32)) / 127);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 32; i++) {
    const x = fround(values[from + i]! * inverse);
    // the nearest whole number; from the middle away from zero
    bytes[at + 2 + i] = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
  }
};

/** One scale for 32 values of four bits: the largest becomes -8. */
export const encodeQ4_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(largest(values, from, 32) / -8);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 16; i++) {
    const low = fround(fround(values[from + i]! * inverse) + 8.5) | 0;
    const high = fround(fround(values[from + i + 16]! * inverse) + 8.5) | 0;
    bytes[at + 2 + i] = (low > 15 ? 15 : low) | ((high > 15 ? 15 : high) << 4);
  }
};
