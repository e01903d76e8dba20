import { flash } from '@heddle/attention';
import type { Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { boundNow } from '../bound-now.ts';
import {
  append,
  bytesPerToken,
  type KvCache,
  type KvShape,
  keyValueShape,
  openSequence,
  type PagedCacheOptions,
  pagedCache,
  pagedCacheBytes,
  type QuantizedFormat,
  type RowsStore,
} from '../index.ts';

const sizes = { maxSequences: 2, maxSequenceTokens: 32, blockSize: 4 };
/** Values from -8 to 8, no two tokens alike. */
const wave = (count: number, first: number) =>
  Float32Array.from({ length: count }, (_, i) => 8 * Math.sin(first + 1.7 * i));

conformance('formats of stores', (device) => {
  const tensors = (shape: KvShape, n: number, first: number) =>
    shape.layers.map((layer, l) =>
      Object.fromEntries(
        Object.entries(layer).map(([name, { shape: of }], s) => {
          const size = (of as readonly number[]).reduce((product, length) => product * length, n);
          return [name, device().tensor(wave(size, first + 10 * l + s), { shape: [n, ...of] })];
        }),
      ),
    );
  const fill = async (cache: KvCache, id: string, rows: readonly Readonly<Record<string, Tensor>>[]) => {
    const sequence = openSequence(cache, id);
    await append(device(), cache, sequence, rows);
    return sequence;
  };
  const open = (shape: KvShape, change: Partial<PagedCacheOptions> = {}) =>
    pagedCache(device(), { shape, ...sizes, ...change });

  /** What one new row of a sequence attends to in layer 0. */
  const attend = async (cache: KvCache, id: string, q: Tensor, k: Tensor, v: Tensor | undefined) => {
    const sequence = openSequenceNamed.get(cache)!.get(id)!;
    sequence.reserve(1);
    const batch = cache.batch([{ sequence, tokens: 1 }]);
    const { step, dispose } = boundNow(device(), cache, batch);
    const positions = device().tensor(batch.positions);
    const segments = device().tensor(batch.segments);
    const spec = { positions, segments, ...(!v && { valueDim: 16 }) };
    const out = await flash().attend(q, k, v, step.layer(0), spec).cast('f32').data();
    for (const tensor of [positions, segments]) tensor.dispose();
    dispose();
    return Array.from(out as Float32Array);
  };
  const openSequenceNamed = new Map<KvCache, Map<string, Awaited<ReturnType<typeof fill>>>>();
  const named = async (cache: KvCache, id: string, rows: readonly Readonly<Record<string, Tensor>>[]) => {
    const sequence = await fill(cache, id, rows);
    openSequenceNamed.set(cache, (openSequenceNamed.get(cache) ?? new Map()).set(id, sequence));
    return sequence;
  };

  test('rows of 8 bits are off by half a factor at most, and forks and copies keep them', async () => {
    const shape = keyValueShape({ layers: 2, heads: 2, headDim: 16, dtype: 'f32' });
    const cache = open(shape, { format: { bits: 8, groups: 2 } });
    expect(cache.exact).toBe(false);
    expect(cache.stats().lossy).toEqual(['format']);
    const rows = tensors(shape, 10, 1);
    const a = await fill(cache, 'a', rows);
    const b = a.fork('b');
    if (typeof b === 'string') throw new Error(b);
    const [held, copied] = await Promise.all([a.range(0, 10), b.range(0, 10)]);
    expect(copied).toEqual(held);
    for (const [l, layer] of held.entries())
      for (const [name, values] of Object.entries(layer)) {
        const written = (await rows[l]![name]!.data()) as Float32Array;
        for (let group = 0; group < values.length; group += 8) {
          const part = written.subarray(group, group + 8);
          const most = Math.max(...part.map(Math.abs));
          for (const [i, value] of part.entries())
            expect(Math.abs((values[group + i] as number) - value)).toBeLessThanOrEqual(most / 254 + 1e-5);
        }
      }
    cache.checkIntegrity();
    cache.dispose();
  });

  const measured = { meanKl: 0.001, limit: 0.01 };
  test.each<[string, QuantizedFormat]>([
    ['8 bits', { bits: 8 }],
    ['8 bits of turned heads', { bits: 8, rotate: true }],
    ['4 bits of turned heads', { bits: 4, measured }],
    ['4 bits', { bits: 4, rotate: false, measured }],
  ])('attention reads rows of %s as range gives them', async (_, format) => {
    const shape = keyValueShape({ layers: 1, heads: 2, headDim: 8, dtype: 'f32' });
    const [rounded, plain] = [open(shape, { format }), open(shape)];
    const a = await named(rounded, 'a', tensors(shape, 9, 3));
    const held = await a.range(0, 9);
    const same = Object.fromEntries(
      Object.entries(held[0]!).map(([name, data]) => [
        name,
        device().tensor(data as Float32Array, { shape: [9, 2, 8] }),
      ]),
    );
    await named(plain, 'a', [same]);
    const [q, k] = [
      device().tensor(wave(32, 5), { shape: [1, 4, 8] }),
      device().tensor(wave(16, 6), { shape: [1, 2, 8] }),
    ];
    const [got, expected] = [await attend(rounded, 'a', q, k, k), await attend(plain, 'a', q, k, k)];
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(expected[i]!, 3);
    rounded.dispose();
    plain.dispose();
  });

  test('a latent row is a key, and its leading part the value', async () => {
    const row = (width: number): RowsStore => ({ kind: 'rows', shape: [1, width], dtype: 'f32' });
    const shape: KvShape = { layers: [{ latent: { ...row(24), valueDim: 16 } }] };
    const [latent, rounded] = [open(shape), open(shape, { format: { bits: 8 } })];
    const plain = open({ layers: [{ keys: row(24), values: row(16) }] });
    const rows = tensors(shape, 7, 2);
    const keys = rows[0]!['latent']!;
    await named(latent, 'a', rows);
    await named(rounded, 'a', rows);
    /** The leading 16 of each row of 24. */
    const leading = async (tensor: Tensor, n: number) => {
      const data = (await tensor.data()) as Float32Array;
      return device().tensor(
        data.filter((_, i) => i % 24 < 16),
        { shape: [n, 1, 16] },
      );
    };
    await named(plain, 'a', [{ keys, values: await leading(keys, 7) }]);
    const [q, k] = [
      device().tensor(wave(96, 5), { shape: [1, 4, 24] }),
      device().tensor(wave(24, 6), { shape: [1, 1, 24] }),
    ];
    const expected = await attend(plain, 'a', q, k, await leading(k, 1));
    const got = await attend(latent, 'a', q, k, undefined);
    expect(got.length).toBe(64);
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(expected[i]!, 3);
    const near = await attend(rounded, 'a', q, k, undefined);
    for (const [i, value] of near.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(2);
    for (const cache of [latent, rounded, plain]) cache.dispose();
  });

  test('8 bits take about half of f16, and only who does not ask for exact tokens finds them', async () => {
    const shape = keyValueShape({ layers: 1, heads: 2, headDim: 64, dtype: 'f16' });
    const options = { shape, ...sizes };
    expect(pagedCacheBytes({ ...options, format: { bits: 8 } }) / pagedCacheBytes(options)).toBeLessThan(0.55);
    expect(pagedCacheBytes(options)).toBe(64 * bytesPerToken(shape));
    const only = open(shape, { format: (_, name) => (name === 'keys' ? { bits: 8 } : undefined) });
    const a = await fill(only, 'a', tensors(shape, 9, 1));
    a.know([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const tokens = [1, 2, 3, 4, 5, 6, 7, 8, 10];
    expect(only.match({ tokens })).toBe(8);
    expect(only.match({ tokens, exact: true })).toBe(0);
    expect(only.sequence('b', { tokens, exact: true })).toHaveProperty('length', 0);
    only.dispose();
    const refused = (format: object, why: RegExp) =>
      expect(() => open(shape, { format: format as never })).toThrow(why);
    refused({ bits: 3 }, /the format of keys of layer 0: bits takes 8, 4, got the number 3/);
    const four = { bits: 4, groups: 2 } as const;
    refused(four, /has 4 bits, which need a measurement on the model within its limit.*got none/);
    refused({ ...four, measured: { meanKl: 0.2, limit: 0.1 } }, /got a mean KL of 0.2 of at most 0.1/);
    refused({ ...four, measured: { meanKl: Number.NaN, limit: 0.1 } }, /got a mean KL of NaN/);
    expect(pagedCacheBytes({ ...options, format: { ...four, measured } }) / pagedCacheBytes(options)).toBeLessThan(
      0.32,
    );
    refused({ bits: 8, groups: 3 }, /must cut a width of 64 into groups of a multiple of 8 values, got 3/);
  });
});
