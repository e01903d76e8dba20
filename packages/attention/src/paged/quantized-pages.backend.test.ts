import type { Device, Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import type { AttentionKernel } from '../kernels/attention-kernel.ts';
import { decode, flash, paged } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { packedCase } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { dequantizeRows, type PageBits, quantizeRows } from './quantized-pages.ts';
import { rotateHeads } from './rotated.ts';

/** Of which keys are split over workgroups. */
const onGpu = backendName.startsWith('webgpu');
const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

conformance('quantised pages', (device: () => Device) => {
  const rows = (seed: number, shape: readonly number[]) =>
    device().tensor(
      Float32Array.from(
        normal(
          seed,
          shape.reduce((a, b) => a * b),
        ),
      ),
      { shape },
    );

  for (const bits of [8, 4] as const)
    test(`rows of ${bits} bits are off by half a step at most, and the words hold their integers`, async () => {
      const x = rows(bits, [3, 2, 32]);
      const { words, scales } = quantizeRows(x, bits, { groups: 2 });
      const most = 2 ** (bits - 1) - 1;
      const [list, factors] = [await values(x), await values(scales)];
      const packed = await words.data();
      const got = await values(dequantizeRows({ words, scales }, bits));
      for (const [i, value] of list.entries()) {
        const group = list.slice(i - (i % 16), i - (i % 16) + 16);
        const scale = factors[Math.floor(i / 16)]!;
        expect(Math.abs(scale * most - Math.max(...group.map(Math.abs)))).toBeLessThan(1e-5);
        expect(Math.abs(got[i]! - value)).toBeLessThan(scale * 0.501);
        const word = packed[Math.floor((i * bits) / 32)]!;
        const integer = (word << (32 - bits * ((i % (32 / bits)) + 1))) >> (32 - bits);
        expect(Math.abs(integer * scale - got[i]!)).toBeLessThan(1e-5);
      }
      const zero = quantizeRows(device().zeros([1, 1, 8]), bits);
      expect(await values(dequantizeRows(zero, bits))).toEqual(Array(8).fill(0));
    });

  async function same(
    kernel: AttentionKernel,
    bits: PageBits,
    groups: number,
    options: Parameters<typeof packedCase>[0],
  ) {
    const { q, k, v, kv, spec } = packedTensors(device(), packedCase({ D: 16, blockSize: 16, ...options }));
    const pages = [kv!.keys, kv!.values!].map((x) => quantizeRows(x, bits, { groups }));
    await device().realize(pages.flatMap(({ words, scales }) => [words, scales]));
    const [keys, values_] = pages as [(typeof pages)[0], (typeof pages)[0]];
    const quantized = { bits, keyScales: keys.scales, valueScales: values_.scales };
    const view = { ...kv!, keys: keys.words, values: values_.words, quantized };
    const floats = { ...kv!, keys: dequantizeRows(keys, bits), values: dequantizeRows(values_, bits) };
    await device().realize([floats.keys, floats.values]);
    const expected = await values(kernel.attend(q, k, v, floats, spec));
    expect(relativeError(await values(kernel.attend(q, k, v, view, spec)), expected)).toBeLessThan(5e-6);
  }
  const chunks = { rows: [5, 1], before: [33, 7] };
  const single = { rows: [1, 1, 1], before: [onGpu ? 300 : 50, 5, 0], H: 6, K: 2, D: 32 };
  for (const kernel of [flash(), paged(), decode(), naive()])
    for (const bits of [8, 4] as const)
      test(`${kernel.name} reads ${bits} bits as the floats that they stand for`, async (context) => {
        const needless =
          kernel.name === 'flash' || kernel.name === 'naive' || (kernel.name === 'paged') !== (bits === 4);
        if (needless && compilesSlowly(device())) context.skip(slowHere);
        if (kernel.name !== 'decode') await same(kernel, bits, 2, chunks);
        if (kernel.name !== 'paged') await same(kernel, bits, bits === 4 ? 4 : 1, single);
      });

  test('heads are turned without another length, and turned twice they are what they were', async () => {
    for (const D of [8, 24, 64]) {
      const x = rows(D, [3, 2, D]);
      const turned = rotateHeads(x);
      const [before, after] = [await values(x), await values(turned)];
      for (let head = 0; head < before.length; head += D) {
        const norm = (list: number[]) => Math.hypot(...list.slice(head, head + D));
        expect(norm(after) / norm(before)).toBeCloseTo(1, 5);
      }
      expect(relativeError(after, before)).toBeGreaterThan(0.5);
      expect(relativeError(await values(rotateHeads(turned)), before)).toBeLessThan(1e-6);
    }
    // one channel that stands out is spread over all
    const outlier = device().tensor(
      Float32Array.from({ length: 8 }, (_, i) => (i === 3 ? 8 : 0)),
      { shape: [1, 1, 8] },
    );
    for (const value of await values(rotateHeads(outlier))) expect(Math.abs(value)).toBeCloseTo(8 / Math.sqrt(8), 5);
    expect(() => rotateHeads(rows(1, [2, 8]))).toThrow(/takes \[T, K, D\]/);
  });

  test('attention over pages that are turned is that over those that are not', async () => {
    for (const kernel of [flash(), naive()]) {
      const { q, k, v, kv, spec } = packedTensors(device(), packedCase({ D: 16, blockSize: 16, ...chunks }));
      const view = { ...kv!, keys: rotateHeads(kv!.keys), values: rotateHeads(kv!.values!), rotated: true };
      await device().realize([view.keys, view.values]);
      const expected = await values(kernel.attend(q, k, v, kv, spec));
      expect(relativeError(await values(kernel.attend(q, k, v, view, spec)), expected)).toBeLessThan(2e-5);
      expect(() => kernel.attend(q, k, undefined, { ...view, values: undefined as never }, spec)).toThrow(
        /rotated keys and values/,
      );
    }
  });

  test('refuses pages that do not fit', () => {
    const { q, k, v, kv, spec } = packedTensors(device(), packedCase({ rows: [2], before: [3], D: 16 }));
    const keys = quantizeRows(kv!.keys, 8);
    const view = {
      ...kv!,
      keys: keys.words,
      values: keys.words,
      quantized: { bits: 8, keyScales: keys.scales, valueScales: keys.scales } as const,
    };
    const attend = (more: object) => () => naive().attend(q, k, v, { ...view, ...more }, spec);
    expect(attend({ quantized: { ...view.quantized, bits: 4 } })).toThrow(
      /4 bits must be \[slots, 2, 2\] for heads of 16/,
    );
    expect(attend({ keys: kv!.keys, values: kv!.values })).toThrow(/8 bits must be \[slots, 2, 4\]/);
    const scales = device().zeros([3, 2, 1]);
    expect(attend({ quantized: { ...view.quantized, valueScales: scales } })).toThrow(/scales must be \[slots, 2, N\]/);
    expect(attend({ keys: keys.words.cast('i32') })).toThrow(/must be u32 and its scales f32 or f16, got i32/);
    expect(() => quantizeRows(rows(1, [1, 1, 12]), 8)).toThrow(
      /groups of a multiple of 8 values, got \[1, 1, 12\] in 1/,
    );
    expect(() => quantizeRows(rows(1, [1, 1, 16]), 3 as never)).toThrow(/bits must be 8 or 4, got 3/);
  });
});
