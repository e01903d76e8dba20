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
import { CacheDriver } from '../testing/cache-driver.ts';

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
    await device().trim();
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

  test('windows and states are restored, and go on as the sequence that they are of', async () => {
    const window = { ...store(1, 2, 'f32'), window: 5, keepFirst: 2 } as KvStore;
    const hybrid: KvShape = {
      layers: [
        { keys: store(1, 2, 'f16'), values: window },
        {
          state: { kind: 'state', shape: [3], dtype: 'f32' },
          convolution: { ...store(1, 2, 'f32'), window: 4 } as KvStore,
        },
      ],
    };
    const options = { shape: hybrid, maxSequences: 2, maxSequenceTokens: 64, maxBatchTokens: 64 };
    const from = pagedCache(device(), { ...options, blockSize: 4 });
    const driver = new CacheDriver(device(), from, 64);
    const tokens = Array.from({ length: 30 }, (_, i) => i % 7);
    const a = driver.open('a', { tokens });
    for (const end of [11, 26]) await driver.write([{ to: a, tokens: tokens.slice(a.tokens.length, end) }]);
    const bytes = await takeSnapshot(from, a.kv, { model: 'm', tokens: a.tokens });
    for (const blockSize of [4, 2]) {
      const into = pagedCache(device(), { ...options, blockSize });
      const other = new CacheDriver(device(), into, 64);
      const kv = await restoreSnapshot(device(), into, 'b', bytes, { model: 'm' });
      const b = { ...a, kv, tokens: [...a.tokens], contents: [...a.contents] };
      into.checkIntegrity();
      await other.check([b]);
      await other.write([{ to: b, tokens: tokens.slice(26) }]);
      await other.check([b]);
      into.checkIntegrity();
      other.truncate(b, 20);
      await other.check([b]);
      kv.dispose();
      // what was restored is listed as far as it goes
      const again = other.open('c', { tokens });
      await other.check([again]);
      again.kv.dispose();
      into.checkIntegrity();
      other.dispose();
      into.dispose();
    }
    // a contiguous cache keeps all rows, of which some are gone
    const wide = contiguousCache(device(), options);
    await expect(restoreSnapshot(device(), wide, 'b', bytes, { model: 'm' })).rejects.toMatchObject({
      code: 'ERR_KV_SNAPSHOT',
    });
    expect(wide.stats().sequences).toBe(0);
    wide.dispose();
    driver.dispose();
    from.dispose();
  });

  test('rows that do not fit are refused, and nothing is added', async () => {
    const cache = pagedCache(device(), { ...sizes, maxSequenceTokens: 8 });
    const a = openSequence(cache, 'a');
    const made = rows(5, 0);
    await append(device(), cache, a, made);
    await expect(append(device(), cache, a, made)).rejects.toThrow(/no room for 5 more tokens of a, which has 5/);
    await expect(append(device(), cache, a, made.slice(1))).rejects.toThrow(/takes rows of 3 layers, got 2/);
    const { keys, values } = made[0]!;
    await expect(append(device(), cache, a, [{ keys: keys! }, {}, made[2]!])).rejects.toThrow(
      /values of layer 0 must be/,
    );
    await expect(
      append(device(), cache, a, [{ keys: keys!, values: values! }, { keys: keys! }, made[2]!]),
    ).rejects.toThrow(/layer 1 has rows of nothing, got keys/);
    const fewer = rows(2, 0);
    await expect(append(device(), cache, a, [made[0]!, {}, fewer[2]!])).rejects.toThrow(
      /latent of layer 2 must be \[5, 1, 5\]/,
    );
    expect(a.length).toBe(5);
    free(made);
    free(fewer);
    cache.checkIntegrity();
    cache.dispose();
  });
});
