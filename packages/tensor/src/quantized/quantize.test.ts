import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { needShared } from '../../../../test-support/shared.ts';
import type { BlockFormat } from '../dtype.ts';
import { openSafetensors } from '../safetensors.ts';
import { decodeFormat, typeOfFormat } from './decode.ts';
import { quantize } from './quantize.ts';

const formats: readonly BlockFormat[] = ['q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'];
/** Root of the mean squared error, relative to the values' own: what ggml's quantisers reach on normal values. */
const expectedError: Readonly<Record<BlockFormat, number>> = {
  q8_0: 0.006,
  q4_0: 0.1,
  mxfp4: 0.13,
  q4_k: 0.08,
  q5_k: 0.04,
  q6_k: 0.02,
};

function normals(count: number): Float32Array {
  let state = 7;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

describe('quantize', () => {
  test('q8_0 and q4_0 by hand', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => (i === 5 ? -127 : i === 6 ? 2.5 : i === 7 ? -2.5 : 0));
    const [scale, ...levels] = [1, ...[...quantize(values, 'q8_0').subarray(2)].map((byte) => (byte << 24) >> 24)];
    expect([...quantize(values, 'q8_0').subarray(0, 2), scale]).toEqual([0x00, 0x3c, 1]);
    // from the middle away from zero
    expect([levels[5], levels[6], levels[7], levels[8]]).toEqual([-127, 3, -3, 0]);
    const four = Float32Array.from({ length: 32 }, (_, i) => (i === 0 ? -8 : i === 1 ? 7.9 : i === 17 ? 1.5 : 0));
    const bytes = quantize(four, 'q4_0');
    expect([bytes[0], bytes[1]]).toEqual([0x00, 0x3c]);
    expect([bytes[2]! & 15, bytes[3]! & 15, bytes[3]! >> 4, bytes[4]! & 15]).toEqual([0, 15, 10, 8]);
  });

  test.for(['q8_0', 'q4_0'] as const)('%s of values that are its own gives their blocks', async (format, context) => {
    const file = await openSafetensors(await needShared(context, 'fixtures/gguf/dequantize.safetensors'));
    const type = typeOfFormat[format];
    const bytes = await file.read(`${type}.bytes`);
    const values = decodeFormat(format, bytes, file.info(`${type}.values`).shape);
    expect(quantize(values, format)).toEqual(new Uint8Array(bytes));
  });

  test('mxfp4 by hand', () => {
    const halves = [0, 1, 2, 3, 4, 6, 8, 12];
    const values = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? 1 : -1) * halves[i % 8]! * 2 ** -5);
    const bytes = quantize(values, 'mxfp4');
    expect(bytes[0]).toBe(123); // 12 / 32 is 1.5 * 2^-2, and 4 to 8 halves of 2^-4 reach 2^-2
    const levels = (at: number) => Array.from({ length: 16 }, (_, i) => (bytes[1 + i]! >> at) & 15);
    expect(levels(0)).toEqual([...Array(16).keys()].map((i) => i % 8));
    expect(levels(4)).toEqual([...Array(16).keys()].map((i) => (i % 8 === 0 ? 0 : (i % 8) | 8)));
    expect(decodeFormat('mxfp4', bytes, [32])).toEqual(values.map((value) => value + 0));
    // the smaller of two that are as near, and nothing beyond 12
    const between = [0.5, 1.5, 2.5, 3.5, 5, 7, 10, 15.9, -2.5, -0.25];
    const odd = Float32Array.from({ length: 32 }, (_, i) => between[i] ?? 0);
    expect([...decodeFormat('mxfp4', quantize(odd, 'mxfp4'), [32]).subarray(0, 10)]).toEqual([
      0, 1, 2, 3, 4, 6, 8, 12, -2, 0,
    ]);
  });

  test.for(formats)('%s of normal values is as near as it should be', (format) => {
    const values = normals(8192);
    const again = decodeFormat(format, quantize(values, format), [8192]);
    const square = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);
    const error = square(values.map((value, i) => value - again[i]!)) / square(values);
    expect(error).toBeLessThan(expectedError[format]);
    expect(error).toBeGreaterThan(expectedError[format] / 3);
  });

  test('zeros, one value, and any finite values', () => {
    for (const format of formats) {
      const zeros = decodeFormat(format, quantize(new Float32Array(256), format), [256]);
      expect(zeros.every((value) => value === 0)).toBe(true);
      const same = decodeFormat(format, quantize(new Float32Array(256).fill(-0.75), format), [256]);
      for (const value of same) expect(value).toBeCloseTo(-0.75, 2);
    }
    const value = fc.double({ min: -1000, max: 1000, noNaN: true });
    fc.assert(
      fc.property(fc.constantFrom(...formats), fc.array(value, { minLength: 256, maxLength: 256 }), (format, list) => {
        const values = Float32Array.from(list);
        const again = decodeFormat(format, quantize(values, format), [256]);
        const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        again.forEach((got, i) => {
          expect(Math.abs(got - values[i]!)).toBeLessThanOrEqual(most * 0.3 + 1e-3);
        });
      }),
      runs(100),
    );
  });

  test('refuses what is no whole block, no number, or no format', () => {
    const thrown = (code: string) => expect.objectContaining({ code });
    expect(() => quantize(new Float32Array(33), 'q8_0')).toThrow(thrown('ERR_SHAPE'));
    expect(() => quantize(new Float32Array(32), 'q4_k')).toThrow(thrown('ERR_SHAPE'));
    expect(() => quantize(new Float32Array(32).fill(Number.NaN), 'q8_0')).toThrow(thrown('ERR_ARGUMENT'));
    for (const format of ['q8_0', 'q4_0', 'q4_k', 'q5_k', 'q6_k'] as const)
      expect(() => quantize(new Float32Array(256).fill(-3e38), format)).toThrow(thrown('ERR_ARGUMENT'));
    expect(() => quantize(new Float32Array(32), 'q5_0' as BlockFormat)).toThrow(thrown('ERR_DTYPE'));
    expect(() => quantize(new Int32Array(32) as unknown as Float32Array, 'q8_0')).toThrow(thrown('ERR_DTYPE'));
    expect(() => quantize(new Uint16Array(32), 'q8_0', 'f32' as 'f16')).toThrow(thrown('ERR_DTYPE'));
    for (const format of formats)
      for (const value of [Number.NaN, -Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
        for (let place = 0; place < 512; place++) {
          const values = new Float32Array(512).fill(place % 3 === 0 ? 0 : 0.5);
          values[place] = value;
          values.fill(place % 2 === 0 ? -1 : 3, place + 1);
          expect(() => quantize(values, format)).toThrow(`quantize: ${value} at place ${place} cannot be quantised`);
        }
    const last = new Uint16Array(8192);
    last[8000] = 0x7c00;
    expect(() => quantize(last, 'q4_0')).toThrow(/Infinity at place 8000 /);
    last[8000] = 0x7fc0;
    expect(() => quantize(last, 'q4_0', 'bf16')).toThrow(/NaN at place 8000 /);
  });
});
