import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs, times } from '../../../../test-support/properties.ts';
import { pagedCache } from '../index.ts';
import { CacheDriver } from './cache-driver.ts';
import { applyOperations, drawOperations } from './cache-operations.ts';
import { drawShape } from './random-shape.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** Caches, and operations of each; `npm run soak` makes it 100,000 in all. */
const [walks, operations] = [times === 1 ? 6 : 20, 500];

test(`${walks * operations * times} random operations over random shapes leave nothing behind, and every row right`, async () => {
  const layout = fc.record({
    seed: fc.nat(2 ** 30),
    blockSize: fc.integer({ min: 1, max: 5 }),
    checkpoints: fc.nat(4),
    checkpointEvery: fc.integer({ min: 1, max: 8 }),
    cold: fc.nat(12),
  });
  const { live } = device.memory();
  let done = 0;
  await fc.assert(
    fc.asyncProperty(layout, async ({ seed, cold, ...options }) => {
      const sizes = { maxSequences: 3, maxSequenceTokens: 9, maxBatchTokens: 16, ...options };
      const tiers = cold > 0 && { tiers: { cold: cold * options.blockSize, load: 'always' as const } };
      const cache = pagedCache(device, { ...sizes, shape: drawShape(seed), ...tiers });
      const driver = new CacheDriver(device, cache, 16);
      try {
        await applyOperations(driver, drawOperations(seed, operations, 7), 50);
        done += operations;
      } finally {
        driver.dispose();
        cache.dispose();
      }
    }),
    runs(walks),
  );
  expect(done).toBe(walks * operations * times);
  await expect.poll(() => device.memory().live).toBe(live);
}, 600_000);
