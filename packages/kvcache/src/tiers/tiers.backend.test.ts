import { flash } from '@heddle/attention';
import type { Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { boundNow } from '../bound-now.ts';
import {
  append,
  type EvictedTokensError,
  type HostKv,
  type KvCache,
  type KvSequence,
  keyValueShape,
  memoryTier,
  openSequence,
  pagedCache,
  type RetainOptions,
} from '../index.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });
const [chunk, chunks] = [256, 64];

/** The row of a position: no two are alike, and every value is a multiple of 1/8 that a factor of 8 bits is near to. */
const rowOf = (position: number, place: number) => ((position * 13 + place * 29) % 251) / 8 - 15;

conformance('tiers of a cache', (device) => {
  const open = (retain: RetainOptions, change = {}) =>
    pagedCache(device(), { shape, maxSequences: 1, maxSequenceTokens: chunk * chunks, retain, ...change });

  async function add(cache: KvCache, sequence: KvSequence, tokens: number): Promise<void> {
    const start = sequence.length;
    const data = Float32Array.from({ length: tokens * 8 }, (_, i) => rowOf(start + (i >> 3), i & 7));
    const keys = device().tensor(data, { shape: [tokens, 1, 8] });
    const values = device().tensor(
      data.map((value) => -value),
      { shape: [tokens, 1, 8] },
    );
    await append(device(), cache, sequence, [{ keys, values }]).finally(() => {
      keys.dispose();
      values.dispose();
    });
  }

  /** Most that rows [start, end) are off. */
  function error(rows: HostKv, start: number): number {
    const { keys, values } = rows[0] as { keys: Float32Array; values: Float32Array };
    let most = 0;
    for (const [i, value] of keys.entries()) {
      const expected = rowOf(start + (i >> 3), i & 7);
      most = Math.max(most, Math.abs(value - expected), Math.abs(values[i]! + expected));
    }
    return most;
  }

  for (const stored of [false, true])
    test(`16,384 tokens in chunks of 256 through 8,192 ${stored ? 'over a store' : 'with nothing beneath'}`, async () => {
      const store = memoryTier();
      const cache = open({ hot: 2048, warm: 2048, cold: 4096, ...(stored && { store }) });
      const sequence = openSequence(cache, 'a');
      let [asked, lost] = [0, 0];
      const read = async (start: number, end: number) => {
        asked += end - start;
        try {
          const rows = await sequence.range(start, end);
          // what was rounded to 8 bits once is off by 1/254 of the largest of its row at most, and stays so
          expect(error(rows, start)).toBeLessThan(16 / 254 + 1e-3);
        } catch (failure) {
          const { code, missing } = failure as EvictedTokensError;
          expect(code).toBe('ERR_KV_EVICTED');
          for (const [from, to] of missing) lost += to - from;
        }
      };
      for (let i = 0; i < chunks; i++) {
        await add(cache, sequence, chunk);
        if (i % 10 !== 9) continue;
        await read(sequence.length - 1024, sequence.length);
        const place = (i * 1031) % (sequence.length - 1024);
        await read(place, place + 1024);
        cache.checkIntegrity();
      }
      // one range in each tier
      for (const start of [15_000, 13_000, 10_000, 3000]) await read(start, start + 512);
      const tiers = cache.stats().tiers;
      expect(tiers.map(({ name, length }) => [name, length])).toEqual([
        ['hot', 2048],
        ['warm', 2048],
        ['cold', 4096],
        ...(stored ? [['memory', 8192]] : []),
      ]);
      expect(tiers.map(({ evictions }) => evictions)).toEqual([14_336, 12_288, 8192, ...(stored ? [0] : [])]);
      const hits = tiers.reduce((sum, tier) => sum + tier.hits, 0);
      const last = tiers.at(-1)!;
      expect(hits + last.misses).toBe(asked);
      expect(last.misses).toBe(lost);
      if (stored) expect(lost).toBe(0);
      else expect(lost).toBeGreaterThan(512);
      for (const tier of tiers) expect([tier.name, tier.hits > 0]).toEqual([tier.name, true]);
      // hot rows, and those that have never been rounded, are exact
      expect(error(await sequence.range(14_336, 16_384), 14_336)).toBe(0);
      sequence.dispose();
      expect(cache.stats().tiers.map(({ length }) => length)).toEqual(tiers.map(() => 0));
      cache.checkIntegrity();
      cache.dispose();
    }, 60_000);

  test('without a warm part what went to the host and the store comes back bit by bit', async () => {
    const store = memoryTier();
    const cache = open({ hot: 32, cold: 32, store });
    const sequence = openSequence(cache, 'a');
    for (const tokens of [5, 40, 100, 3, 60]) await add(cache, sequence, tokens);
    expect(error(await sequence.range(0, sequence.length), 0)).toBe(0);
    cache.checkIntegrity();
    // back to what is in the hot part, on, and the rest stays
    const back = sequence.truncate(sequence.length - 7);
    await add(cache, sequence, 90);
    expect(sequence.length).toBe(back + 90);
    expect(error(await sequence.range(0, sequence.length), 0)).toBe(0);
    cache.checkIntegrity();
    cache.dispose();
  });

  test('forks share what has left the hot part, and each goes its own way', async () => {
    const store = memoryTier();
    const cache = open({ hot: 32, warm: 16, cold: 16, store }, { maxSequences: 3 });
    const a = openSequence(cache, 'a');
    await add(cache, a, 150);
    const b = a.fork('b');
    if (typeof b === 'string') throw new Error(b);
    expect(b.length).toBe(150);
    await add(cache, b, 70);
    cache.checkIntegrity();
    a.dispose();
    await add(cache, b, 40);
    expect(error(await b.range(0, 260), 0)).toBeLessThan(16 / 254 + 1e-3);
    cache.checkIntegrity();
    b.dispose();
    cache.dispose();
  });

  test('attention reads the hot part and the tokens in front, at their positions', async () => {
    const cache = open({ hot: 32, warm: 32, keepFirst: 16 });
    const sequence = openSequence(cache, 'a');
    await add(cache, sequence, 150);
    expect(cache.exact).toBe(false);
    expect(cache.stats().lossy).toEqual(['retain']);
    const q = device().tensor(
      Float32Array.from({ length: 8 }, (_, i) => (i - 3) / 20),
      { shape: [1, 1, 8] },
    );
    sequence.reserve(1);
    const batch = cache.batch([{ sequence, tokens: 1 }]);
    expect(batch.positions).toEqual(Int32Array.of(150));
    const { step, dispose } = boundNow(device(), cache, batch);
    const [positions, segments] = [device().tensor(batch.positions), device().tensor(batch.segments)];
    const out = (window?: number) =>
      flash().attend(q, q, q, step.layer(0), { positions, segments, ...(window && { window }) });
    const expected = (sees: (position: number) => boolean) => {
      const keys = Array.from({ length: 150 }, (_, p) => p).filter((p) => (p < 16 || p >= 112) && sees(p));
      const own = Array.from({ length: 8 }, (_, i) => (i - 3) / 20);
      const all = [...keys.map((p) => Array.from({ length: 8 }, (_, i) => rowOf(p, i))), own];
      const scores = all.map((key) => Math.exp(key.reduce((sum, k, i) => sum + k * own[i]!, 0) / Math.sqrt(8)));
      const total = scores.reduce((sum, score) => sum + score, 0);
      return own.map((_, i) =>
        all.reduce((sum, key, j) => sum + (scores[j]! / total) * (j < keys.length ? -key[i]! : key[i]!), 0),
      );
    };
    const close = async (got: Tensor, sees: (position: number) => boolean) => {
      const values = (await got.data()) as Float32Array;
      for (const [i, value] of expected(sees).entries()) expect(values[i]).toBeCloseTo(value, 2);
    };
    await close(out(), () => true);
    await close(out(20), (position) => 150 - position < 20); // the window of a model counts true positions
    dispose();
    for (const tensor of [q, positions, segments]) tensor.dispose();
    cache.dispose();
  });
});
