import { expect, vi } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type KvCache, type KvShape, keyValueShape, memoryTier, type PagedCacheOptions, pagedCache } from '../index.ts';
import { BlockUploads } from '../storage/block-uploads.ts';
import { RawBlocks } from '../storage/raw-blocks.ts';
import { CacheDriver, type Tracked } from '../testing/cache-driver.ts';

const rows = { kind: 'rows', shape: [1, 8], dtype: 'f32' } as const;
const half = { kind: 'rows', shape: [2, 8], dtype: 'f16' } as const;
const state = { kind: 'state', shape: [3], dtype: 'f32' } as const;
const shapes: Record<string, KvShape> = {
  'keys and values': keyValueShape({ layers: 2, heads: 1, headDim: 8, dtype: 'f16' }),
  'full attention beside a window with kept first tokens': {
    layers: [
      { keys: half, values: half },
      { keys: { ...rows, window: 6, keepFirst: 3 }, values: { ...rows, window: 6, keepFirst: 3 } },
    ],
  },
  'a window alone': { layers: [{ keys: { ...rows, window: 7 }, values: { ...rows, window: 7 } }] },
  'latent rows beside a state and its window': {
    layers: [{ latent: { ...rows, valueDim: 4 } }, { state, convolution: { ...rows, window: 4 } }],
  },
  'a state alone': { layers: [{ state, convolution: { ...rows, window: 4 } }] },
};

const base = { maxSequences: 2, maxSequenceTokens: 24, blockSize: 4, maxBatchTokens: 24, checkpointEvery: 8 };
/** Milliseconds that a slow machine may take. */
const patient = 60_000;
/** Prompts of 21 tokens that differ from the first one on. */
const prompt = (first: number) => Array.from({ length: 21 }, (_, i) => first * 100 + i);

/** Asks for a prompt until it need not wait. */
async function opened(driver: CacheDriver, id: string, tokens: readonly number[], exact = false): Promise<Tracked> {
  const { cache } = driver;
  const sequence = cache.sequence(id, { tokens, exact });
  if (sequence !== 'pending') {
    (sequence as { dispose(): void }).dispose();
    return driver.open(id, { tokens, exact });
  }
  await new Promise<void>((resolve) => cache.onReady!(resolve));
  return driver.open(id, { tokens, exact });
}

/** Computes what is not there of a prompt, checks all of it, and ends the sequence. @returns how many tokens were there */
async function use(driver: CacheDriver, first: number, exact = false): Promise<number> {
  const tokens = prompt(first);
  const one = await opened(driver, `p${first}`, tokens, exact);
  const found = one.kv.length;
  await driver.check([one]);
  await driver.write([{ to: one, tokens: tokens.slice(found) }]);
  await driver.check([one]);
  one.kv.dispose();
  driver.cache.checkIntegrity();
  return found;
}

conformance('tiers of prefixes', (device) => {
  async function withCache(
    shape: KvShape,
    options: Partial<PagedCacheOptions>,
    body: (driver: CacheDriver, cache: KvCache) => Promise<void>,
  ): Promise<void> {
    const cache = pagedCache(device(), { ...base, tokens: 24, shape, ...options });
    const driver = new CacheDriver(device(), cache, 24);
    await body(driver, cache);
    driver.dispose();
    cache.dispose();
    const left = async () => {
      await device().trim();
      return device().memory().live;
    };
    await expect.poll(left).toBe(0); // the device is this file's: nothing of earlier tests either
  }

  for (const [name, shape] of Object.entries(shapes)) {
    test(`${name}: what was forgotten comes back from the host's memory, bit by bit`, async (context) => {
      if (name !== 'keys and values') leaveToNode(context);
      await withCache(shape, { tiers: { cold: 96, load: 'always' } }, async (driver, cache) => {
        for (const first of [1, 2, 3, 4]) expect(await use(driver, first)).toBe(0);
        for (const first of [1, 2, 3, 4, 1]) expect(await use(driver, first)).toBe(20);
        const [hot, cold] = cache.stats().tiers;
        expect(hot).toMatchObject({ name: 'hot' });
        expect(cold).toMatchObject({ name: 'cold', maxLength: 96 });
        if (name === 'keys and values') {
          expect(cold!.promotions).toBeGreaterThanOrEqual(80);
          expect(cold!.hits + hot!.hits).toBe(100);
          expect(cold!.misses).toBe(9 * 21 - 100);
        }
      });
    });

    test(`${name}: another cache finds in the store what this one had`, async (context) => {
      if (name !== 'keys and values') leaveToNode(context);
      const store = memoryTier();
      const tiers = { store, model: 'a', load: 'always', salt: 'of a test' } as const;
      await withCache(shape, { tiers }, async (driver, cache) => {
        for (const first of [1, 2, 3]) expect(await use(driver, first)).toBe(0);
        await cache.persist!();
      });
      const notes: string[] = [];
      await withCache(shape, { tiers: { ...tiers, onNote: (note) => notes.push(note) } }, async (driver, cache) => {
        for (const first of [1, 2, 3]) expect(await use(driver, first)).toBe(20);
        expect(await use(driver, 4)).toBe(0);
        if (name === 'keys and values') expect(cache.stats().tiers.at(-1)).toMatchObject({ hits: 60, promotions: 60 });
      });
      expect(notes).toEqual([]);
      // of another model, or under another name
      for (const other of [{ model: 'b' }, { salt: '' }])
        await withCache(shape, { tiers: { ...tiers, ...other } }, async (driver) => {
          expect(await use(driver, 1)).toBe(0);
        });
    });
  }

  test('what came back and is forgotten again is not read from the device again', async () => {
    const reads = vi.spyOn(RawBlocks.prototype, 'read');
    await withCache(shapes['keys and values']!, { tiers: { cold: 96, load: 'always' } }, async (driver) => {
      for (const first of [1, 2, 3, 4, 1, 2, 3, 4]) await use(driver, first);
      const before = reads.mock.calls.length;
      expect(before).toBeGreaterThan(0);
      for (const first of [1, 2, 3, 4, 2, 1]) expect(await use(driver, first)).toBe(20);
      expect(reads.mock.calls.length).toBe(before);
    });
    reads.mockRestore();
  });

  test('what it takes to bring blocks up is measured before a prompt decides by it, and changes no block', async () => {
    const rehearsals = vi.spyOn(BlockUploads.prototype, 'rehearse');
    await withCache(shapes['keys and values']!, { tiers: { cold: 96 } }, async (driver) => {
      for (const first of [1, 2, 3]) await use(driver, first);
      await expect.poll(() => rehearsals.mock.calls.length, { timeout: 60_000 }).toBe(4);
      for (const seconds of await Promise.all(rehearsals.mock.results.map(({ value }) => value as Promise<number>)))
        expect(seconds).toBeGreaterThan(0);
      for (const first of [3, 2, 1, 3, 2, 1]) expect([0, 20]).toContain(await use(driver, first));
    });
    rehearsals.mockRestore();
  });

  test('the warm part is rounded: exact prompts do not begin with it, and what they compute takes its place', async () => {
    const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });
    const tiers = { warm: 24, cold: 48, load: 'always', timeoutMs: patient } as const;
    const cache = pagedCache(device(), { ...base, tokens: 24, shape, tiers });
    expect([cache.exact, cache.stats().lossy]).toEqual([false, ['warm']]);
    const write = async (first: number, exact = false) => {
      const tokens = prompt(first);
      let sequence = cache.sequence(`p${first}`, { tokens, exact });
      while (sequence === 'pending') {
        await new Promise((resolve) => setTimeout(resolve, 5));
        sequence = cache.sequence(`p${first}`, { tokens, exact });
      }
      if (sequence === 'full') throw new Error(sequence);
      const found = sequence.length;
      expect(sequence.reserve(tokens.length - found)).toBe(true);
      cache.batch([{ sequence, tokens: tokens.length - found }]).advance();
      sequence.know(tokens.slice(found));
      sequence.dispose();
      cache.checkIntegrity();
      return found;
    };
    for (const first of [1, 2, 3]) expect(await write(first)).toBe(0); // 1 is cold and rounded, 2 is warm
    const lengths = () => cache.stats().tiers.map(({ name, length }) => `${name} ${length}`);
    await expect.poll(lengths, { timeout: patient }).toEqual(['hot 20', 'warm 24', 'cold 16']);
    expect(cache.match({ tokens: prompt(1), exact: true })).toBe(0);
    expect(cache.match({ tokens: prompt(2), exact: true })).toBe(0);
    expect(await write(2)).toBe(20);
    expect(cache.match({ tokens: prompt(2), exact: true })).toBe(0);
    expect(await write(2, true)).toBe(0);
    expect(cache.match({ tokens: prompt(2), exact: true })).toBe(20);
    expect(await write(1)).toBe(20);
    expect(cache.match({ tokens: prompt(1), exact: true })).toBe(0);
    cache.dispose();
  });

  test('prompts wait for what is on its way, once, and others go on', async () => {
    const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });
    const inner = memoryTier();
    let answer: (() => void) | undefined;
    const store = {
      ...inner,
      has: async (keys: readonly string[]) => {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return keys.map((key) => inner.blocks.has(key));
      },
    };
    const tiers = { store, model: 'a', load: 'always', timeoutMs: patient } as const;
    await withCache(shape, { tiers: { ...tiers, store: inner } }, async (driver, cache) => {
      await use(driver, 1);
      await cache.persist!();
    });
    const sizes = { maxSequences: 3, tokens: 48 };
    await withCache(shape, { ...sizes, tiers }, async (driver, cache) => {
      let told = 0;
      cache.onReady!(() => told++);
      expect(cache.sequence('a', { tokens: prompt(1) })).toBe('pending');
      expect(cache.sequence('a', { tokens: prompt(1) })).toBe('pending');
      // others go on meanwhile
      const b = cache.sequence('b');
      expect(typeof b).toBe('object');
      (b as { dispose(): void }).dispose();
      expect(told).toBe(0);
      await expect.poll(() => answer, { timeout: patient }).toBeDefined();
      answer!();
      await expect.poll(() => told, { timeout: patient }).toBe(1);
      const one = driver.open('a', { tokens: prompt(1) });
      expect(one.kv.length).toBe(20);
      await driver.check([one]);
      one.kv.dispose();
    });
    await withCache(shape, { ...sizes, tiers: { ...tiers, timeoutMs: 100 } }, async (_, cache) => {
      let told = 0;
      cache.onReady!(() => told++);
      // too late: a miss, and computed
      expect(cache.sequence('c', { tokens: prompt(1) })).toBe('pending');
      await expect.poll(() => told, { timeout: patient }).toBe(1);
      const late = cache.sequence('c', { tokens: prompt(1) }) as { readonly length: number; dispose(): void };
      expect(late.length).toBe(0);
      late.dispose();
      // given up
      expect(cache.sequence('d', { tokens: prompt(3) })).toBe('pending');
      cache.withdraw!('d');
      answer!();
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(told).toBe(1);
      cache.checkIntegrity();
    });
  });

  test('refuses what tiers cannot be', () => {
    const shape = shapes['keys and values']!;
    const open = (options: Partial<PagedCacheOptions>) => () => pagedCache(device(), { ...base, shape, ...options });
    expect(open({ tiers: {} })).toThrow(/tiers must have warm, cold or a store/);
    expect(open({ tiers: { cold: 5 } })).toThrow(/tiers.cold must be a multiple of the block size 4 from 0, got 5/);
    expect(open({ tiers: { store: memoryTier() } })).toThrow(/tiers.model must tell the store's model/);
    expect(open({ tiers: { cold: 8 }, share: false })).toThrow(/got share: false beside them/);
    expect(open({ tiers: { warm: 8 }, format: { bits: 8 } })).toThrow(/tiers.warm takes rows of their own dtype/);
    expect(open({ tiers: { cold: 8, timeoutMs: 0 } })).toThrow(/timeoutMs must be a positive number, got 0/);
    expect(open({ tiers: { cold: 8, load: 'never' as 'always' } })).toThrow(
      /tiers: load takes measured, always, got the string never/,
    );
  });
});
