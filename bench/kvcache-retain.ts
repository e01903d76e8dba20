// One sequence of 16,384 tokens of 32 heads x 128 in chunks of 256 through a cache of 8,192 in three tiers: with nothing beneath, and
// over a folder. Each tenth chunk reads the last 1,024 tokens, and 1,024 somewhere else.
//   node bench/dist/kvcache-retain.js [cpu]     on the GPU; `cpu`: on ONNX Runtime
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  append,
  EvictedTokensError,
  folderTier,
  type KvTier,
  keyValueShape,
  openSequence,
  pagedCache,
} from '@heddle/kvcache';
import { randomNormal } from '@heddle/tensor';
import { openOnnx } from '@heddle/tensor/onnx';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const [heads, width, chunk, chunks, read] = [32, 128, 256, 64, 1024];
const device = process.argv.includes('cpu') ? await openOnnx() : await openWebGpu();
const adapter = `${device.name}: ${device.description}`;
const shape = keyValueShape({ layers: 1, heads, headDim: width, dtype: 'f16' });
const rows = randomNormal(device, [chunk, heads, width], 1).cast('f16');
await device.realize([rows]);
const measurements: Measurement[] = [];

/** @throws Error where lengths, evictions or misses are other than they must be */
async function through(title: string, store: KvTier | undefined): Promise<void> {
  const retain = { hot: 2048, warm: 2048, cold: 4096, ...(store && { store }) };
  const cache = pagedCache(device, { shape, maxSequences: 1, maxSequenceTokens: chunk * chunks, retain });
  const sequence = openSequence(cache, 'a');
  const times: number[] = [];
  let missing = 0;
  let asked = 0;
  const begun = performance.now();
  for (let i = 1; i <= chunks; i++) {
    const begin = performance.now();
    await append(device, cache, sequence, [{ keys: rows, values: rows }]);
    times.push(performance.now() - begin);
    if (i % 10 !== 0) continue;
    const anywhere = (i * 7919) % (sequence.length - read); // reaches every tier
    for (const start of [sequence.length - read, anywhere]) {
      asked += read;
      try {
        await sequence.range(start, start + read);
      } catch (error) {
        if (!(error instanceof EvictedTokensError)) throw error;
        for (const [from, to] of error.missing) missing += to - from;
      }
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  const { tiers } = cache.stats();
  const expected = { hot: 2048, warm: 2048, cold: 4096 } as const;
  for (const [name, length] of Object.entries(expected)) {
    const found = tiers.find((tier) => tier.name === name)?.length;
    if (found !== length) throw new Error(`${title}: ${name} has ${found} tokens, expected ${length}`);
  }
  const evicted = tiers.at(-1)!.evictions;
  if (evicted !== (store ? 0 : 8192)) throw new Error(`${title}: ${evicted} evictions from the last tier`);
  if (store && missing > 0) throw new Error(`${title}: ${missing} of ${asked} tokens were missing`);
  const hits = tiers.reduce((sum, tier) => sum + tier.hits, 0);
  if (hits + missing !== asked) throw new Error(`${title}: ${hits} hits and ${missing} misses of ${asked} tokens`);
  const what = `cache in tiers, ${chunk * chunks} tokens of ${heads} heads x ${width}, ${title}`;
  measurements.push(
    { what: `${what}: time of a chunk of ${chunk}, p50`, value: median(times), unit: 'ms', adapter },
    { what: `${what}: throughput, reads included`, value: (chunk * chunks) / seconds, unit: 'tok/s', adapter },
    {
      what: `${what}: tokens that were asked for and found`,
      value: hits,
      unit: 'tokens',
      adapter,
      ratio: hits / asked,
      against: 'all asked for',
    },
  );
  for (const { name, length, hitRate, hits: own, evictions, bytes } of tiers) {
    if (own === 0) throw new Error(`${title}: nothing was found in ${name}`);
    measurements.push({
      what: `${what}: ${name}, ${length} tokens, ${own} hits, ${evictions} evictions`,
      value: bytes / 2 ** 20,
      unit: 'MiB',
      adapter,
      ratio: hitRate,
      against: 'hit rate of 1',
    });
  }
  cache.dispose();
  await cache.settled?.();
}

const folder = await mkdtemp(join(tmpdir(), 'heddle-kv-retain-'));
try {
  await through('nothing beneath', undefined);
  await through('a folder beneath', folderTier(folder));
} finally {
  await rm(folder, { recursive: true, force: true });
}
report(measurements);
await device.dispose();
process.exit();
