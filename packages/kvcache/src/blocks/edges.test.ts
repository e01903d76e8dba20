import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyValueShape, lowestPriority, type PagedCacheOptions, pagedCache } from '../index.ts';
import { CacheDriver } from '../testing/cache-driver.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** What `use` does with a cache of blocks of two tokens, through steps that write what tells tokens apart. */
async function withCache(options: Partial<PagedCacheOptions>, use: (driver: CacheDriver) => unknown): Promise<void> {
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
  const cache = pagedCache(device, { shape, maxSequences: 3, maxSequenceTokens: 8, blockSize: 2, ...options });
  const driver = new CacheDriver(device, cache, 8);
  try {
    await use(driver);
    cache.checkIntegrity();
  } finally {
    driver.dispose();
    cache.dispose();
  }
}

describe('a block that is forgotten', () => {
  it('comes back from the host as it was, although a fork was written over it at once', async () => {
    await withCache({ tokens: 8, tiers: { cold: 8, load: 'always' } }, async (driver) => {
      const first = driver.open('first', { tokens: [1, 2, 3, 4] });
      await driver.write([{ to: first, tokens: [1, 2, 3, 4] }]);
      first.kv.dispose();
      const second = driver.open('second');
      await driver.write([{ to: second, tokens: [7, 8, 9] }]);
      // all four blocks are taken: the copy of the open one goes where the end of the first was
      const copy = driver.fork(second, 'copy');
      await driver.check([second, copy]);
      second.kv.dispose();
      copy.kv.dispose();
      const prompt = { tokens: [1, 2, 3, 4, 5] };
      while (typeof driver.cache.sequence('asked', prompt) === 'string')
        await new Promise((resolve) => setImmediate(resolve));
      const again = driver.open('again', prompt);
      expect(again.kv.length).toBe(4);
      await driver.check([again]);
      await driver.checkRange(again);
    });
  });
});

describe('what is forgotten first', () => {
  it('is of the lowest priority, and the highest that anybody had counts', async () => {
    await withCache({ tokens: 8, share: lowestPriority() }, async (driver) => {
      const write = async (tokens: readonly number[], priority?: number) => {
        const one = driver.open(`${tokens} ${priority}`, priority === undefined ? undefined : { tokens, priority });
        await driver.write([{ to: one, tokens: tokens.slice(one.kv.length) }]);
        one.kv.dispose();
      };
      await write([1, 2, 3], 5);
      await write([1, 2, 3]); // by somebody without one, who computes it again
      await write([4, 5, 6], 3);
      const finds = (tokens: readonly number[]) => driver.cache.match({ tokens: [...tokens, 0] });
      expect([finds([1, 2]), finds([4, 5])]).toEqual([2, 2]);
      await write([7, 8, 9, 7, 8, 9], 4);
      expect([finds([1, 2]), finds([4, 5])]).toEqual([2, 0]);
    });
  });
});

describe('ids of tokens', () => {
  it('are known of what is written, not of what room is reserved for', async () => {
    await withCache({}, async (driver) => {
      const one = driver.open('one');
      expect(one.kv.reserve(6)).toBe(true);
      await driver.write([{ to: one, tokens: [1, 2, 3] }], false);
      expect(() => one.kv.know([1, 2, 3, 4])).toThrow(/one has 3 tokens, of which 0 are known, got 4 more/);
      one.kv.know([1, 2]);
      expect(() => one.kv.know([3, 4])).toThrow(/of which 2 are known, got 2 more/);
      one.kv.know([3]);
      expect(one.kv.known).toBe(3);
    });
  });

  it.each([2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN])('are whole numbers of 32 bits: not %d', async (id) => {
    await withCache({}, async (driver) => {
      const one = driver.open('one');
      await driver.write([{ to: one, tokens: [1, 2, 3] }], false);
      expect(() => one.kv.know([-(2 ** 31), 2 ** 31 - 1, id])).toThrow(/must be whole numbers of 32 bits/);
      expect(one.kv.known).toBe(0);
    });
  });
});

describe('room', () => {
  it('is there for the last token and for none beyond it, of a sequence and of all', async () => {
    await withCache({ tokens: 12, share: false }, async (driver) => {
      const [one, other] = [driver.open('one'), driver.open('other')];
      expect(one.kv.reserve(9)).toBe(false);
      expect(one.kv.reserve(8)).toBe(true);
      expect(other.kv.reserve(5)).toBe(false);
      expect(other.kv.reserve(4)).toBe(true);
      await driver.write([
        { to: one, tokens: [1, 2, 3, 4, 5, 6, 7] },
        { to: other, tokens: [1] },
      ]);
      expect([one.kv.reserve(1), one.kv.reserve(2)]).toEqual([true, false]);
      expect([other.kv.reserve(3), other.kv.reserve(4)]).toEqual([true, false]);
      expect(driver.cache.stats()).toMatchObject({ blocks: 6, blocksUsed: 6, tokens: 8, tokenCapacity: 12 });
      driver.truncate(one, 4);
      // a block that was cut off is free, one that is begun is not
      expect(driver.cache.stats().blocksUsed).toBe(4);
      driver.truncate(one, 3);
      expect(driver.cache.stats().blocksUsed).toBe(4);
      expect([other.kv.reserve(7), other.kv.reserve(8)]).toEqual([true, false]);
      await driver.check([one, other]);
    });
  });
});
