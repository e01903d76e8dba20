import { createHash } from 'node:crypto';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  firstInFirstOut,
  type KvCache,
  type KvSequence,
  leastFrequentlyUsed,
  leastRecentlyUsed,
  lowestPriority,
  type PagedCacheOptions,
  pagedCache,
} from '../index.ts';
import type { KvShape, RowsStore } from '../kv-shape.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const rows = (more: Partial<RowsStore> = {}): RowsStore => ({ kind: 'rows', shape: [1, 1], dtype: 'f32', ...more });
const all: KvShape = { layers: [{ keys: rows(), values: rows() }] };
const windows: KvShape = { layers: [{ keys: rows() }, { keys: rows({ window: 6 }) }] };
const sinks: KvShape = { layers: [{ keys: rows({ window: 5, keepFirst: 3 }) }] };
const states: KvShape = { layers: [{ keys: rows() }, { state: { kind: 'state', shape: [2], dtype: 'f32' } }] };
const both: KvShape = {
  layers: [{ keys: rows({ window: 4 }), state: { kind: 'state', shape: [1], dtype: 'f16' } }, { keys: rows() }],
};

const wide: KvShape = { layers: [{ keys: rows({ shape: [1, 8] }) }] };

const sizes = { maxSequences: 4, maxSequenceTokens: 26, maxBatchTokens: 12, blockSize: 4 };
const caches: readonly [string, Partial<PagedCacheOptions> & { readonly shape: KvShape }][] = [
  ['all rows, much room', { shape: all }],
  ['all rows, little room', { shape: all, tokens: 48 }],
  ['by use', { shape: all, tokens: 40, share: leastFrequentlyUsed() }],
  ['by age', { shape: all, tokens: 40, share: firstInFirstOut() }],
  ['by priority', { shape: all, tokens: 40, share: lowestPriority() }],
  ['nothing shared', { shape: all, tokens: 44, share: false }],
  ['windows', { shape: windows, tokens: 52, share: leastRecentlyUsed() }],
  ['a window with the first', { shape: sinks }],
  ['states', { shape: states, tokens: 64, checkpoints: 3, checkpointEvery: 8 }],
  ['windows and states', { shape: both, checkpoints: 5, checkpointEvery: 4 }],
  ['blocks of one', { shape: windows, blockSize: 1, tokens: 40 }],
  ['blocks of three', { shape: both, blockSize: 3, tokens: 60, checkpoints: 2, checkpointEvery: 6 }],
  ['drops', { shape: all, drops: true, tokens: 60 }],
  ['retained', { shape: all, retain: { hot: 8, cold: 8, keepFirst: 4 } }],
  ['cold', { shape: windows, tokens: 44, tiers: { cold: 24, load: 'always' } }],
  [
    'cold states',
    { shape: states, tokens: 44, checkpoints: 3, checkpointEvery: 8, tiers: { cold: 16, load: 'always' } },
  ],
  ['warm', { shape: wide, tokens: 44, tiers: { warm: 12, load: 'always' } }],
  ['warm and cold', { shape: wide, tokens: 40, tiers: { warm: 8, cold: 16, load: 'always' } }],
];

/** Whole numbers below a bound, the same for the same seed. */
function drawing(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

/** What no clock and no allocator is asked for: of statistics all but the bytes. */
const figures = (cache: KvCache) => {
  const { bytes, tiers, ...counts } = cache.stats();
  return { ...counts, tiers: tiers.map(({ bytes: _, ...own }) => own) };
};

/** 180 uses of a cache that are drawn from `seed`: what it ends with, and a hash of all that it laid out and said on the way. */
async function walk(seed: number, cache: KvCache, drops: boolean): Promise<string> {
  const below = drawing(seed);
  const hash = createHash('sha256');
  const write = (...values: readonly unknown[]) => {
    const text = JSON.stringify(values, (_, part: unknown) =>
      ArrayBuffer.isView(part) ? Array.from(part as Int32Array) : part,
    );
    hash.update(`${text}\n`);
  };
  const open: KvSequence[] = [];
  const told = new Map<string, number[]>();
  const prompts: number[][] = Array.from({ length: 3 }, () => Array.from({ length: 22 }, () => below(3)));
  let refused = 0;
  const use = (index: number): void => {
    const what = below(20);
    const one = open[below(Math.max(1, open.length))];
    if (what < 6) {
      const tokens = [...prompts[below(3)]!.slice(0, 3 + below(20)), below(3)];
      const prompt = { tokens, priority: below(3), namespace: ['', 'other'][Number(below(8) === 0)]! };
      write('match', cache.match(prompt));
      const opened = cache.sequence(`s${index}`, below(12) === 0 ? undefined : prompt);
      if (typeof opened === 'string') {
        write(opened);
        if (opened === 'pending') cache.withdraw?.(`s${index}`);
        refused++;
        return;
      }
      told.set(opened.id, tokens);
      open.push(opened);
    } else if (!one) return;
    else if (what < 13) {
      let left = sizes.maxBatchTokens;
      const batch = open
        .filter((own) => own === one || below(2) === 0)
        .map((sequence) => {
          const room = cache.maxSequenceTokens - sequence.length;
          const tokens = Math.min(left, room, below(9));
          const fits = sequence.reserve(tokens);
          write('reserve', sequence.id, tokens, fits);
          if (!fits) refused++;
          left -= fits ? tokens : 0;
          return { sequence, tokens: fits ? tokens : 0, ...(below(4) === 0 && { keep: 'end' as const }) };
        });
      const laid = cache.batch(batch);
      write(laid.inputs, laid.positions, laid.segments, laid.saves, laid.sizes);
      if (below(10) === 0) return;
      laid.advance();
      for (const { sequence } of batch) {
        const prompt = told.get(sequence.id)!;
        const ids = Array.from(
          { length: sequence.length - sequence.known },
          (_, i) => prompt[sequence.known + i] ?? i % 3,
        );
        if (below(8) > 0) sequence.know(ids);
      }
    } else if (what < 15) {
      write('truncate', one.truncate(below(one.length + 1)));
    } else if (what < 16) {
      const copy = one.fork(`s${index}`, below(3) === 0 ? undefined : below(one.length + 1));
      if (typeof copy === 'string') {
        write(copy);
        refused++;
        return;
      }
      told.set(copy.id, told.get(one.id)!);
      open.push(copy);
    } else if (what < 17 && drops && one.length > 0) {
      write('keep', one.keep!(Array.from({ length: below(4) }, () => below(one.length))));
    } else if (what >= 17) {
      open.splice(open.indexOf(one), 1);
      one.dispose();
    }
  };
  for (let index = 0; index < 180; index++) {
    use(index);
    cache.checkIntegrity();
    write(
      open.map(({ id, length, known }) => [id, length, known]),
      figures(cache),
    );
    // what was forgotten has arrived in the host's memory before the next
    await cache.settled?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { hitTokens, missTokens, evictions, blocksUsed, tiers } = cache.stats();
  for (const one of open) one.dispose();
  write(figures(cache));
  const lower = tiers.map(({ name, hits }) => `${name} ${hits}`).join(', ');
  const digest = hash.digest('hex').slice(0, 12);
  return `${hitTokens} of ${hitTokens + missTokens} found${lower && ` (${lower})`}, ${evictions} evicted, ${blocksUsed} used, ${refused} refused, ${digest}`;
}

describe('the same uses', () => {
  // what is meant to change is written anew by `npx vitest run -u`; figures say how much did
  it('are laid out, found, evicted and counted as they were before, in every kind of cache', async () => {
    const lines: string[] = [];
    for (const [i, [name, options]] of caches.entries()) {
      const cache = pagedCache(device, { ...sizes, ...options });
      try {
        lines.push(`${name}: ${await walk(i + 1, cache, options.drops === true)}`);
      } finally {
        cache.dispose();
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-walks.txt');
  });
});
