// Parts of a key-value cache of one's own: what is forgotten first, where old blocks go, and a cache in front of another one.
//   npx tsx --conditions=@heddle/source examples/own-kv-cache.ts

import {
  append,
  type EvictionPolicy,
  type KvCache,
  type KvTier,
  keyValueShape,
  openSequence,
  pagedCache,
} from '@heddle/kvcache';
import { kvCacheContract } from '@heddle/kvcache/testing';
import { openDevice } from '@heddle/tensor';

const device = await openDevice('reference');
const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });

/** Keeps long prompts that were found at least once: they are the dearest to compute again. */
const dearest: EvictionPolicy = { name: 'dearest', rank: ({ hits, created, lastUsed }) => [hits, lastUsed - created] };

/**
 * A tier in a key-value store over the network, in place of which a Map answers after a while. With Valkey or Redis: `mget`,
 * `mset` and `del` of a client.
 */
function remoteTier(): KvTier {
  const server = new Map<string, Uint8Array>();
  const later = () => new Promise((resolve) => setTimeout(resolve, 1));
  return {
    name: 'remote',
    read: async (keys) => {
      await later();
      return keys.map((key) => server.get(key));
    },
    write: async (blocks) => {
      await later();
      for (const { key, bytes } of blocks) server.set(key, bytes);
    },
    delete: async (keys) => {
      await later();
      for (const key of keys) server.delete(key);
    },
  };
}

/** A cache that tells what it is asked for: every member but one is the inner cache's. */
function counted(inner: KvCache): KvCache & { readonly counts: { steps: number; rows: number } } {
  const counts = { steps: 0, rows: 0 };
  const batch: KvCache['batch'] = (rows) => {
    counts.steps++;
    for (const { tokens } of rows) counts.rows += tokens;
    return inner.batch(rows);
  };
  return new Proxy(inner, {
    get(target, name) {
      if (name === 'counts') return counts;
      if (name === 'batch') return batch;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  }) as KvCache & { readonly counts: typeof counts };
}

let kept = 0;
for (const { run } of kvCacheContract(
  (on, sizes) => counted(pagedCache(on, { ...sizes, share: dearest })),
  () => device,
)) {
  await run(); // throws, naming the rule that is broken
  kept++;
}
console.log(`a counted cache with a policy of its own keeps ${kept} rules`);

const retain = { hot: 64, cold: 64, store: remoteTier() };
const cache = counted(pagedCache(device, { shape, maxSequences: 1, maxSequenceTokens: 512, retain }));
const sequence = openSequence(cache, 'a');
for (let i = 0; i < 32; i++) {
  const rows = device.full([16, 1, 8], i);
  await append(device, cache, sequence, [{ keys: rows, values: rows }]);
  rows.dispose();
}
const [layer] = await sequence.range(0, 512);
const right = layer!['keys']!.every((value, place) => value === Math.floor(place / 128));
console.log(`${cache.counts.rows} rows in ${cache.counts.steps} steps, all of them there: ${right}`);
for (const { name, length, hits } of cache.stats().tiers)
  console.log(`${name.padEnd(7)}${length} tokens, ${hits} hits`);
cache.dispose();
await device.dispose();
