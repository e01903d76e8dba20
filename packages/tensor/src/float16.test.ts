import { expect, test } from 'vitest';
import {
  bf16BitsToNumber,
  bf16ToF32,
  f16BitsToNumber,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  numberToBf16Bits,
  numberToF16Bits,
} from './float16.ts';

const allBits = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNaNBits = (bits: number) => (bits & 0x7fff) > 0x7c00;

test('known values', () => {
  const pairs: [number, number][] = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x8000, -0],
  ];
  for (const [bits, value] of pairs) {
    expect(f16BitsToNumber(bits)).toBe(value);
    expect(numberToF16Bits(value)).toBe(bits);
  }
});

test('every binary16 survives widening and rounding, and both widenings agree', () => {
  const wide = f16ToF32(allBits);
  const back = f32ToF16(wide);
  for (let bits = 0; bits < 65536; bits++) {
    if (isNaNBits(bits)) {
      expect(wide[bits]).toBeNaN();
      expect(isNaNBits(back[bits]!)).toBe(true);
      expect(back[bits]! & 0x8000).toBe(bits & 0x8000);
    } else {
      if (!Object.is(wide[bits], f16BitsToNumber(bits)) || back[bits] !== bits) {
        expect.fail(`0x${bits.toString(16)} widened to ${wide[bits]} and came back as 0x${back[bits]!.toString(16)}`);
      }
    }
  }
});

test('rounds to the nearest, ties to even, at every boundary between neighbours', () => {
  const next = new DataView(new ArrayBuffer(4));
  const step = (value: number, by: number) => {
    next.setFloat32(0, value);
    next.setUint32(0, next.getUint32(0) + by);
    return next.getFloat32(0);
  };
  for (let low = 0; low < 0x7bff; low++) {
    const middle = (f16BitsToNumber(low) + f16BitsToNumber(low + 1)) / 2;
    const even = low % 2 === 0 ? low : low + 1;
    const got = [numberToF16Bits(step(middle, -1)), numberToF16Bits(middle), numberToF16Bits(step(middle, 1))];
    if (got[0] !== low || got[1] !== even || got[2] !== low + 1) expect.fail(`around ${middle}: ${got}, low ${low}`);
  }
  expect(numberToF16Bits(65519.996)).toBe(0x7bff);
  expect(numberToF16Bits(65520)).toBe(0x7c00);
  expect(numberToF16Bits(-1e30)).toBe(0xfc00);
  expect(numberToF16Bits(2 ** -25)).toBe(0);
  expect(numberToF16Bits(-(2 ** -25) * 1.000001)).toBe(0x8001);
  expect(isNaNBits(numberToF16Bits(Number.NaN))).toBe(true);
});

test('reads an array that starts inside a larger buffer', () => {
  const values = new Float32Array([9, 1, -2, 9]).subarray(1, 3);
  expect([...f32ToF16(values)]).toEqual([0x3c00, 0xc000]);
  expect([...f16ToF32(new Uint16Array([0, 0x3c00, 0xc000]).subarray(1))]).toEqual([1, -2]);
});

test('bfloat16 is the upper half of float32, rounded to even on the way down', () => {
  const wide = bf16ToF32(allBits);
  for (let bits = 0; bits < 65536; bits++) {
    const value = bf16BitsToNumber(bits);
    if (!Object.is(wide[bits], value)) expect.fail(`0x${bits.toString(16)}: ${wide[bits]} and ${value}`);
    if (!Number.isNaN(value) && numberToBf16Bits(value) !== bits) expect.fail(`0x${bits.toString(16)} changed`);
  }
  expect(bf16BitsToNumber(0x3f80)).toBe(1);
  expect(numberToBf16Bits(1 + 2 ** -8)).toBe(0x3f80);
  expect(numberToBf16Bits(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(numberToBf16Bits(3.4e38)).toBe(0x7f80);
  expect(bf16BitsToNumber(numberToBf16Bits(Number.NaN))).toBeNaN();
  // the bits that tell it from infinity are those that bf16 leaves out
  const payload = new Float32Array(Uint32Array.of(0x7f800001, 0xff80ffff).buffer);
  for (const bits of f32ToBf16(payload)) expect(bf16BitsToNumber(bits)).toBeNaN();
});
