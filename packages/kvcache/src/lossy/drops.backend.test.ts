import { attentionMass, flash, naive } from '@heddle/attention';
import { concat, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { boundNow } from '../bound-now.ts';
import { append, heavyHitters, keyValueShape, openSequence, pagedCache } from '../index.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });
const wave = (count: number, first: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(first + 1.7 * i));

conformance('tokens that are dropped', (device) => {
  const tensor = (data: Float32Array, n: number, heads = 1) => device().tensor(data, { shape: [n, heads, 8] });

  test('attention reads those that are left, at their positions, and the sequence goes on', async () => {
    const options = { shape, maxSequences: 2, maxSequenceTokens: 64, tokens: 64, blockSize: 4, drops: true };
    const cache = pagedCache(device(), options);
    expect(cache.exact).toBe(false);
    expect(cache.stats().lossy).toEqual(['drops']);
    const sequence = openSequence(cache, 'a');
    const [keys, values] = [wave(22 * 8, 1), wave(22 * 8, 2)];
    const rows = [{ keys: tensor(keys, 22), values: tensor(values, 22) }];
    await append(device(), cache, sequence, rows);
    const used = () => cache.stats().blocksUsed;
    expect(used()).toBe(6);
    // blocks 0, 2 and the open one
    expect(sequence.keep!([1, 9, 10])).toBe(10);
    expect([used(), sequence.length]).toEqual([3, 22]);
    cache.checkIntegrity();
    await expect(sequence.range(0, 22)).rejects.toMatchObject({ code: 'ERR_KV_EVICTED' });
    expect((await sequence.range(8, 12))[0]!['keys']).toEqual(keys.slice(64, 96));

    const fork = sequence.fork('b');
    if (typeof fork === 'string') throw new Error(fork);
    for (const one of [sequence, fork]) {
      expect(one.reserve(1)).toBe(true);
      const batch = cache.batch([{ sequence: one, tokens: 1 }]);
      const { step, dispose } = boundNow(device(), cache, batch);
      const [q, k, v] = [tensor(wave(16, 5), 1, 2), tensor(wave(8, 6), 1), tensor(wave(8, 7), 1)];
      const [positions, segments] = [device().tensor(batch.positions), device().tensor(batch.segments)];
      expect(Array.from(batch.positions)).toEqual([22]);
      const out = await flash().attend(q, k, v, step.layer(0), { positions, segments }).data();
      // the same tokens alone
      const left = [...Array(4).keys(), ...[8, 9, 10, 11], ...[20, 21]];
      const of = (data: Float32Array) =>
        tensor(Float32Array.from(left.flatMap((i) => [...data.slice(8 * i, 8 * i + 8)])), 10);
      const together = [of(keys), of(values)] as const;
      const all = [concat([together[0], k], 0), concat([together[1], v], 0)] as const;
      const queries = concat([device().zeros([10, 2, 8]), q], 0);
      const spec = {
        positions: device().tensor(Int32Array.from({ length: 11 }, (_, i) => i)),
        segments: device().tensor(new Int32Array(11)),
      };
      const expected = (await naive().attend(queries, all[0], all[1], undefined, spec).data()) as Float32Array;
      for (const [i, value] of (out as Float32Array).entries()) expect(value).toBeCloseTo(expected[160 + i]!, 4);
      dispose();
      batch.advance();
    }
    expect(() => sequence.keep!([23])).toThrow(/positions lie inside the 23 tokens of a, got 23/);
    expect(sequence.truncate(21)).toBe(21);
    cache.checkIntegrity();
    expect(() => pagedCache(device(), { ...options, retain: { hot: 8 } })).toThrow(/drops takes layers that keep all/);
    const plain = pagedCache(device(), { ...options, drops: false });
    expect(() => openSequence(plain, 'c').keep!([])).toThrow(/takes a cache that was opened with drops/);
    plain.dispose();
    cache.dispose();
  });

  test('the mass of attention says which tokens a policy keeps', async () => {
    const [N, R, H, K] = [9, 3, 4, 2];
    const [q, keys] = [wave(R * H * 8, 3), wave(N * K * 8, 4)];
    const i32 = (list: number[]): Tensor => device().tensor(Int32Array.from(list));
    const found = (await attentionMass({
      q: tensor(q, R, H),
      keys: tensor(keys, N, K),
      positions: i32([6, 7, 8]),
      keyPositions: i32([...Array(N).keys()]),
    }).data()) as Float32Array;
    const expected = new Array<number>(N).fill(0);
    for (let row = 0; row < R; row++)
      for (let head = 0; head < H; head++) {
        const group = Math.floor(head / (H / K));
        const score = (n: number) => {
          let sum = 0;
          for (let d = 0; d < 8; d++) sum += q[(row * H + head) * 8 + d]! * keys[(n * K + group) * 8 + d]!;
          return Math.exp(sum / Math.sqrt(8));
        };
        const seen = [...Array(7 + row).keys()];
        const total = seen.reduce((sum, n) => sum + score(n), 0);
        for (const n of seen) expected[n]! += score(n) / total;
      }
    for (const [n, value] of found.entries()) expect(value).toBeCloseTo(expected[n]!, 4);
    expect(found.reduce((sum, value) => sum + value, 0)).toBeCloseTo(R * H, 3);
    const kept = heavyHitters({ budget: 4, recent: 2 }).choose(found);
    expect(kept).toHaveLength(4);
    expect(kept.slice(-2)).toEqual([7, 8]);
    expect(() =>
      attentionMass({
        q: tensor(q, R, H),
        keys: tensor(wave(48, 1), 2, 3),
        positions: i32([0]),
        keyPositions: i32([0]),
      }),
    ).toThrow(/H a multiple of K/);
  });
});
