// A sequence of twice as many tokens as the cache keeps: the last ones in the device's memory, those before them there as 8 bits,
// then in the host's memory, and in a folder or nowhere.
//   npx tsx --conditions=@heddle/source examples/kv-cache-tiers.ts [HEADS [WIDTH]] [DEVICE]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  append,
  type EvictedTokensError,
  folderTier,
  type KvTier,
  keyValueShape,
  openSequence,
  pagedCache,
} from '@heddle/kvcache';
import { openDevice, randomNormal } from '@heddle/tensor';
import { exampleArguments, size } from './arguments.ts';

const usage = 'kv-cache-tiers [HEADS [WIDTH]]';
const { args, device: name } = exampleArguments(usage, 2);
const [heads, width] = [size(usage, 'HEADS', args[0] ?? '32'), size(usage, 'WIDTH', args[1] ?? '128')];
const [chunk, chunks] = [256, 64];
const shape = keyValueShape({ layers: 1, heads, headDim: width, dtype: 'f16' });
const device = await openDevice(name);
console.log(
  `${device.executor.name}: ${chunks * chunk} tokens of ${heads} heads x ${width}, f16, in chunks of ${chunk}`,
);
const rows = randomNormal(device, [chunk, heads, width], 1).cast('f16');
await device.realize([rows]);

const folder = await mkdtemp(join(tmpdir(), 'kv-cache-tiers-'));
await through('nothing beneath', undefined);
await through('a folder beneath', folderTier(folder));
await rm(folder, { recursive: true });
await device.dispose();

async function through(title: string, store: KvTier | undefined): Promise<void> {
  const retain = { hot: 2048, warm: 2048, cold: 4096, ...(store && { store }) };
  const cache = pagedCache(device, { shape, maxSequences: 1, maxSequenceTokens: chunk * chunks, retain });
  const sequence = openSequence(cache, 'a');
  console.log(`\n${title}\nchunk  tokens in each tier                           ms  read        hits`);
  let [appending, missing, asked] = [0, 0, 0];
  for (let i = 1; i <= chunks; i++) {
    const begin = performance.now();
    await append(device, cache, sequence, [{ keys: rows, values: rows }]);
    const took = performance.now() - begin;
    appending += took;
    if (i % 10 !== 0 && i !== chunks) continue;
    const places = [sequence.length - 1024, (i * 7919) % (sequence.length - 1024)];
    const before = cache.stats().tiers.map(({ hits }) => hits);
    for (const start of places) {
      asked += 1024;
      try {
        await sequence.range(start, start + 1024);
      } catch (error) {
        // what no tier has: a model would have to compute it again
        for (const [from, to] of (error as EvictedTokensError).missing) missing += to - from;
      }
    }
    const { tiers } = cache.stats();
    const bar = tiers.map(({ length }, t) => '#=-.'[t]!.repeat(Math.ceil(length / 512))).join('');
    const hits = tiers.map((tier, t) => tier.hits - before[t]!).join(' ');
    console.log(
      `${String(i).padStart(5)}  ${bar.padEnd(36)} ${took.toFixed(1).padStart(10)}  ${places.join(' ').padEnd(11)} ${hits}`,
    );
  }
  const { tiers } = cache.stats();
  for (const { name: tier, length, hits, misses, hitRate, evictions, bytes } of tiers)
    console.log(
      `${tier.padEnd(7)}${String(length).padStart(6)} tokens ${(bytes / 2 ** 20).toFixed(1).padStart(7)} MiB  hits ${hits}, misses ${misses}, hit rate ${hitRate.toFixed(2)}, evictions ${evictions}`,
    );
  console.log(
    `${Math.round((chunks * chunk * 1000) / appending)} tokens/s; of ${asked} tokens asked for ${missing} were missing`,
  );
  cache.dispose();
  await cache.settled?.(); // the folder is written to, and cleared, meanwhile
}
