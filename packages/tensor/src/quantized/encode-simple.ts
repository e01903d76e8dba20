import { numberToF16Bits } from '../float16.ts';

/** Quantises the block of `values` that begins at `from` into `bytes` from `at` on. */
export type BlockEncoder = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => void;

const { fround, abs } = Math;

export function putHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = numberToF16Bits(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** The nearest whole number; from the middle away from zero. */
const roundAway = (x: number): number => (x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5));

/** The value that is largest without its sign, with its sign; the first of several. */
export function largest(values: Float32Array, from: number, count: number): number {
  let found = 0;
  for (let i = from; i < from + count; i++) if (abs(values[i]!) > abs(found)) found = values[i]!;
  return found;
}

/** One scale for 32 values of eight bits: the largest becomes 127. */
export const encodeQ8_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(abs(largest(values, from, 32)) / 127);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 32; i++) bytes[at + 2 + i] = roundAway(fround(values[from + i]! * inverse)) & 255;
};

/** One scale for 32 values of four bits: the largest becomes -8. */
export const encodeQ4_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(largest(values, from, 32) / -8);
  const inverse = d === 0 ? 0 : fround(1 / d);
  const level = (i: number) => Math.min(15, Math.trunc(fround(fround(values[from + i]! * inverse) + 8.5)));
  putHalf(bytes, at, d);
  for (let i = 0; i < 16; i++) bytes[at + 2 + i] = level(i) | (level(i + 16) << 4);
};
