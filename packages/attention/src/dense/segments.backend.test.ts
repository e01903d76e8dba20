import { concat, type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attention } from './attention.ts';
import { segmentIds } from './segments.ts';

const [H, K, D] = [4, 2, 16];
const lengths = [70, 1, 29];
const S = 104;
const values = async (x: Tensor) => Array.from(await x.data());

conformance('packed sequences in dense attention', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const inputs = () => [make(1, [1, S, H, D]), make(2, [1, S, K, D]), make(3, [1, S, K, D])] as const;
  const offsets = () => device().tensor(Int32Array.of(0, 70, 71, 100));

  test('the segments of offsets', async () => {
    const ids = segmentIds(device().tensor(Int32Array.of(0, 2, 2, 5)), 7);
    expect([ids.shape, await values(ids)]).toEqual([
      [1, 7],
      [0, 0, 2, 2, 2, -1, -1],
    ]);
    expect(() => segmentIds(device().zeros([2]), 7)).toThrow(/offsets must be i32, got f32/);
    expect(() => segmentIds(device().zeros([1, 2], 'i32'), 7)).toThrow(/offsets must be \[N \+ 1\], got \[1, 2\]/);
  });

  test('each sequence as if it were alone, gradients too, and padding is 0', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [q, k, v] = inputs();
    const weights = make(4, [1, S, H, D]);
    const out = attention(q, k, v, { causal: true, segments: segmentIds(offsets(), S) });
    let start = 0;
    const alone: Tensor[] = lengths.map((length) => {
      const cut = (x: Tensor) => x.slice(1, start, start + length);
      const part = attention(cut(q), cut(k), cut(v), { causal: true });
      start += length;
      return part;
    });
    const expected = concat([...alone, device().zeros([1, S - start, H, D])], 1);
    const [found, wanted] = [out, expected].map((x) => gradients(x.mul(weights).sum(), [q, k, v]));
    const [got, wantedOut, ...all] = await valuesOf(device(), [out, expected, ...found!, ...wanted!]);
    expect(relativeError(got!, wantedOut!)).toBeLessThan(5e-6);
    expect(got!.slice(start * H * D).every((x) => x === 0)).toBe(true);
    for (const i of [0, 1, 2]) {
      const gradient = all[i]!;
      expect(relativeError(gradient, all[3 + i]!), `gradient ${i}`).toBeLessThan(2e-5);
      expect(gradient.slice((start * gradient.length) / S).every((x) => x === 0)).toBe(true);
    }
  });

  test('segments in any order, and queries that are the last of longer keys', async () => {
    const [q, k, v] = inputs();
    const L = 37;
    const ids = Int32Array.from({ length: S }, (_, i) => ((i * 7) % 5) - 1);
    const segments = device().tensor(ids, { shape: [1, S] });
    const mask = device().tensor(
      Uint8Array.from({ length: L * S }, (_, i) => {
        const own = ids[Math.floor(i / S) + S - L]!;
        return Number(own >= 0 && own === ids[i % S]);
      }),
      { shape: [L, S], dtype: 'bool' },
    );
    const last = q.slice(1, S - L);
    const [a, b] = [attention(last, k, v, { segments, causal: true }), attention(last, k, v, { mask, causal: true })];
    expect(relativeError(await values(a), await values(b))).toBeLessThan(5e-6);
  });
});
