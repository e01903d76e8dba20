import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import {
  append,
  contiguousCache,
  type KvShape,
  type KvStore,
  openSequence,
  pagedCache,
  restoreSnapshot,
  takeSnapshot,
} from '../index.ts';

const store = (heads: number, width: number, dtype: 'f32' | 'f16'): KvStore => ({
  kind: 'rows',
  shape: [heads, width],
  dtype,
});
const shape: KvShape = {
  layers: [{ keys: store(2, 3, 'f32'), values: store(2, 3, 'f16') }, {}, { latent: store(1, 5, 'f16') }],
};
const sizes = { shape, maxSequences: 3, maxSequenceTokens: 600 };

conformance('rows that are appended, and snapshots', (device) => {
  /** Rows of n tokens, numbers that f16 holds exactly. */
  const rows = (n: number, first: number) =>
    shape.layers.map((layer, l) =>
      Object.fromEntries(
        Object.entries(layer).map(
          ([
            name,
            {
              shape: [heads, width],
            },
          ]) => {
            const data = Float32Array.from({ length: n * heads * width }, (_, i) => ((first + l * 7 + i) % 1000) / 4);
            return [name, device().tensor(data, { shape: [n, heads, width] })];
          },
        ),
      ),
    );
  const free = (made: ReturnType<typeof rows>) => {
    for (const layer of made) for (const tensor of Object.values(layer)) tensor.dispose();
  };

  test('a snapshot is restored bit by bit, in another cache, and goes on', async () => {
    const before = device().memory().live;
    const paged = pagedCache(device(), { ...sizes, blockSize: 4 });
    const a = openSequence(paged, 'a');
    for (const [n, first] of [
      [7, 0],
      [1, 50],
      [300, 90],
    ] as const) {
      const made = rows(n, first);
      await append(device(), paged, a, made);
      free(made);
    }
    expect(a.length).toBe(308);
    const tokens = Array.from({ length: 308 }, (_, i) => i);
    const bytes = await takeSnapshot(paged, a, { model: 'm', tokens });
    const held = await a.range(0, 308);
    for (const cache of [contiguousCache(device(), sizes), pagedCache(device(), sizes), paged]) {
      const b = await restoreSnapshot(device(), cache, 'b', bytes, { model: 'm' });
      expect(b.length).toBe(308);
      expect(await b.range(0, 308)).toEqual(held);
      const more = rows(2, 400);
      await append(device(), cache, b, more);
      free(more);
      expect(b.length).toBe(310);
      expect(await b.range(0, 308)).toEqual(held);
      if (cache !== paged && cache.stats().blocks > 3) expect(cache.match({ tokens })).toBe(304);
      cache.checkIntegrity();
      if (cache !== paged) cache.dispose();
    }
    paged.dispose();
    await device().trim();
    expect(device().memory().live).toBe(before);
  });

  test('rows that do not fit are refused, and nothing is added', async () => {
    const cache = pagedCache(device(), { ...sizes, maxSequenceTokens: 8 });
    const a = openSequence(cache, 'a');
    const made = rows(5, 0);
    await append(device(), cache, a, made);
    expect(() => append(device(), cache, a, made)).toThrow(/no room for 5 more tokens of a, which has 5/);
    expect(() => append(device(), cache, a, made.slice(1))).toThrow(/takes rows of 3 layers, got 2/);
    const { keys, values } = made[0]!;
    expect(() => append(device(), cache, a, [{ keys: keys! }, {}, made[2]!])).toThrow(/values of layer 0 must be/);
    expect(() => append(device(), cache, a, [{ keys: keys!, values: values! }, { keys: keys! }, made[2]!])).toThrow(
      /layer 1 has rows of nothing, got keys/,
    );
    const fewer = rows(2, 0);
    expect(() => append(device(), cache, a, [made[0]!, {}, fewer[2]!])).toThrow(
      /latent of layer 2 must be \[5, 1, 5\]/,
    );
    expect(a.length).toBe(5);
    free(made);
    free(fewer);
    cache.checkIntegrity();
    cache.dispose();
  });
});
