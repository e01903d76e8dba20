import type { Device } from '@heddle/tensor';
import { threefry2x32, uniformFromBits } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { type KvTier, memoryTier, pagedCache, type TierBlock } from '../index.ts';
import { CacheDriver } from '../testing/cache-driver.ts';
import { drawShape } from '../testing/random-shape.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** 10,000 in `npm run soak`. */
const wanted = times === 1 ? 300 : 1000 * times;

const faults = [
  'cut',
  'flip',
  'version',
  'another',
  'lost',
  'read',
  'has',
  'write',
  'crash',
  'slow',
  'vanished',
] as const;
type Fault = (typeof faults)[number];

/** A store that is damaged, slow or away, as `draw` (uniform numbers) says. */
function faultyTier(draw: () => number): KvTier & { readonly counts: Map<Fault, number> } {
  const inner = memoryTier();
  const counts = new Map<Fault, number>();
  const pick = (below: number) => Math.floor(draw() * below);
  const happens = (fault: Fault, chance: number): boolean => {
    if (draw() >= chance) return false;
    counts.set(fault, (counts.get(fault) ?? 0) + 1);
    return true;
  };
  const wait = async () => {
    if (happens('slow', 0.02)) await new Promise((resolve) => setTimeout(resolve, 8));
    if (happens('vanished', 0.01)) await new Promise(() => {});
  };
  const damaged = (bytes: Uint8Array): Uint8Array | undefined => {
    if (happens('cut', 0.12)) return bytes.subarray(0, pick(bytes.length));
    const other = bytes.slice();
    if (happens('flip', 0.12)) {
      other[pick(other.length)]! ^= 1 << pick(8);
      return other;
    }
    if (happens('version', 0.08)) {
      // the header begins with `{"version":2`
      other[12 + 11] = 0x31;
      return other;
    }
    if (happens('another', 0.08)) return [...inner.blocks.values()][pick(inner.blocks.size)]!;
    return happens('lost', 0.1) ? undefined : bytes;
  };
  return {
    name: 'faulty',
    counts,
    has: async (keys) => {
      await wait();
      if (happens('has', 0.05)) throw new Error('no answer');
      return keys.map((key) => inner.blocks.has(key));
    },
    read: async (keys) => {
      await wait();
      if (happens('read', 0.05)) throw new Error('not readable');
      return keys.map((key) => {
        const bytes = inner.blocks.get(key);
        return bytes && damaged(bytes);
      });
    },
    write: async (blocks: readonly TierBlock[]) => {
      await wait();
      if (happens('write', 0.05)) throw new Error('no space');
      const crash = happens('crash', 0.2);
      // a crash in the middle leaves a block that is cut off
      for (const { key, bytes } of crash ? blocks.slice(0, pick(blocks.length)) : blocks)
        inner.write([{ key, bytes: crash && draw() < 0.5 ? bytes.subarray(0, pick(bytes.length)) : bytes }]);
      if (crash) throw new Error('gone in the middle');
    },
    delete: (keys) => inner.delete(keys),
  };
}

test(`${wanted} faults of a store: no wrong token, nothing leaks, and it is of use all the same`, async () => {
  const seed = inject('seed');
  let drawn = 0;
  const draw = () => uniformFromBits(threefry2x32(seed, 77, drawn++, 0));
  const { live } = device.memory();
  const total = new Map<Fault, number>();
  const sum = () => [...total.values()].reduce((all, count) => all + count, 0);
  let [found, asked] = [0, 0];
  for (let round = 0; sum() < wanted; round++) {
    const store = faultyTier(draw);
    const shape = drawShape(seed + round);
    const options = { shape, maxSequences: 2, maxSequenceTokens: 20, tokens: 20, blockSize: 4, checkpointEvery: 4 };
    const tiers = { store, cold: 4 * (round % 3), model: 'm', load: 'always', timeoutMs: 4 } as const;
    for (let restart = 0; restart < 2; restart++) {
      const cache = pagedCache(device, { ...options, maxBatchTokens: 20, checkpoints: 4, tiers });
      const driver = new CacheDriver(device, cache, 20);
      let ready: (() => void) | undefined;
      cache.onReady!(() => ready?.());
      for (let use = 0; use < 60; use++) {
        // of a vocabulary of two in the first block, so that prompts are often alike
        const tokens = Array.from({ length: 17 }, (_, i) => (i < 2 ? Math.floor(draw() * 2) : i));
        const id = `u${use}`;
        const waiting = new Promise<void>((resolve) => {
          ready = resolve;
        });
        const answer = cache.sequence(id, { tokens });
        if (answer === 'pending') {
          if (draw() < 0.1) {
            cache.withdraw!(id);
            continue;
          }
          await waiting;
        } else (answer as { dispose(): void }).dispose();
        const one = driver.open(id, { tokens });
        found += one.kv.length;
        asked += tokens.length;
        await driver.check([one]);
        await driver.write([{ to: one, tokens: tokens.slice(one.kv.length) }]);
        await driver.check([one]);
        one.kv.dispose();
        cache.checkIntegrity();
      }
      await cache.persist!();
      const { sequences, blocksUsed } = cache.stats();
      expect({ sequences, blocksUsed }).toEqual({ sequences: 0, blocksUsed: 0 });
      driver.dispose();
      cache.dispose();
    }
    for (const [fault, count] of store.counts) total.set(fault, (total.get(fault) ?? 0) + count);
  }
  expect([...total.keys()].sort()).toEqual([...faults].sort());
  expect(found / asked).toBeGreaterThan(0.05);
  await expect.poll(() => device.memory().live).toBe(live);
}, 600_000);
