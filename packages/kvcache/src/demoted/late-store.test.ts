import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KvTier, keyValueShape, memoryTier, pagedCache } from '../index.ts';
import { CacheDriver } from '../testing/cache-driver.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
const tokens = Array.from({ length: 2 * 100 + 1 }, (_, i) => i);
const inner = memoryTier();

let device: Device;
beforeAll(async () => {
  device = await openReference();
  const { cache, driver } = opened(inner, 60_000);
  const ready = new Promise<void>((resolve) => cache.onReady!(resolve));
  expect(cache.sequence('first', { tokens })).toBe('pending');
  await ready;
  const one = driver.open('first', { tokens });
  await driver.write([{ to: one, tokens }]);
  one.kv.dispose();
  await cache.persist!();
  driver.dispose();
  cache.dispose();
  expect(inner.blocks.size).toBe(100);
});
afterAll(() => device.dispose());

/** A cache over a store, in which nothing is yet. */
function opened(store: KvTier, timeoutMs: number) {
  const sizes = { maxSequences: 2, maxSequenceTokens: 204, blockSize: 2, maxBatchTokens: 204, tokens: 408 };
  const notes: string[] = [];
  const tiers = {
    store,
    model: 'm',
    load: 'always',
    timeoutMs,
    onNote: (note: string) => void notes.push(note),
  } as const;
  const cache = pagedCache(device, { shape, ...sizes, tiers });
  return { cache, driver: new CacheDriver(device, cache, 204), notes };
}

/** How much of the prompt is there when it need wait no longer. @param meanwhile what the thread does after it has asked */
async function found(store: KvTier, timeoutMs: number, meanwhile: () => void = () => {}) {
  const { cache, driver, notes } = opened(store, timeoutMs);
  const ready = new Promise<void>((resolve) => cache.onReady!(resolve));
  expect(cache.sequence('a', { tokens })).toBe('pending');
  meanwhile();
  await ready;
  const one = driver.open('a', { tokens });
  const { length } = one.kv;
  await driver.check([one]);
  one.kv.dispose();
  cache.checkIntegrity();
  driver.dispose();
  cache.dispose();
  return { length, notes };
}

const after = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('a store is not late where the thread that asks was at work and did not hear it', async () => {
  const store: KvTier = {
    ...inner,
    has: async (keys) => {
      await after(1);
      return keys.map((key) => inner.blocks.has(key));
    },
  };
  const atWork = () => {
    const end = performance.now() + 600;
    while (performance.now() < end);
  };
  expect(await found(store, 400, atWork)).toEqual({ length: 200, notes: [] });
});

test('what has come of a prompt when time is over is taken, and no more is read', async () => {
  let reads = 0;
  const store: KvTier = {
    ...inner,
    read: (keys) => (++reads === 1 ? inner.read(keys) : new Promise(() => {})),
  };
  expect(await found(store, 400)).toEqual({ length: 2 * 64, notes: [expect.stringContaining('no answer for 400 ms')] });
  expect(reads).toBe(2);
});

test('a store that fails in the middle: what came before is taken', async () => {
  let reads = 0;
  const store: KvTier = {
    ...inner,
    read: (keys) => (++reads === 1 ? inner.read(keys) : Promise.reject(new Error('gone'))),
  };
  expect(await found(store, 60_000)).toEqual({ length: 2 * 64, notes: [expect.stringContaining('gone')] });
});
