import {
  append,
  contiguousCache,
  firstInFirstOut,
  heavyHitters,
  keyValueShape,
  leastRecentlyUsed,
  memoryTier,
  openSequence,
  pagedCache,
  takeSnapshot,
} from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import { type CallsOf, type Entries, part } from './valid-call.ts';

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));

const because = (names: string, why: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, why]));
const internalOfCaches = {
  ...because('grow know truncate fork keep read readHeld close', 'is what its sequences call'),
  ...because('batch bind onReady restore', 'is called by the other functions, with what it takes'),
};
const internalOfSequences = {
  ...because('follow inherit assertUsable', 'is what its cache calls'),
  ...because('know keep', 'is called of a sequence that has tokens, in tests of its own'),
};

/** What is called of `@heddle/kvcache`. */
export async function kvcacheCalls(device: Device, folder: string): Promise<CallsOf> {
  const sizes = { layers: 1, heads: 1, headDim: 4, valueDim: 4, dtype: 'f32', window: 8, keepFirst: 4 } as const;
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f32' });
  const rows = [{ keys: device.zeros([2, 1, 8]), values: device.zeros([2, 1, 8]) }];
  const cacheOptions = { shape, maxSequences: 2, maxSequenceTokens: 32 };
  let count = 0;
  const cache = contiguousCache(device, { shape, maxSequences: 8, maxSequenceTokens: 32 });
  const filled = openSequence(cache, 'filled');
  await append(device, cache, filled, rows);
  const snapshot = await takeSnapshot(cache, filled, { model: 'm' });
  const opened = () => {
    const own = contiguousCache(device, cacheOptions);
    return { cache: own, sequence: openSequence(own, 'a') };
  };
  const batch = () => {
    const { cache: own, sequence } = opened();
    sequence.reserve(2);
    return part(own.batch([{ sequence, tokens: 2, keep: 'end' }]));
  };
  const tiers = {
    warm: 8,
    cold: 8,
    store: part(memoryTier()),
    model: 'm',
    salt: 's',
    load: 'always',
    timeoutMs: 100,
    onNote: () => undefined,
  };
  const paged = {
    ...cacheOptions,
    tokens: 64,
    blockSize: 8,
    maxBatchTokens: 16,
    share: part(leastRecentlyUsed()),
    tiers,
  };
  class Metric {
    set() {}
    inc() {}
    reset() {}
  }
  return {
    specifier: '@heddle/kvcache',
    functions: {
      append: {
        args: () => {
          const { cache: own, sequence } = opened();
          return [device, own, sequence, rows];
        },
      },
      bytesPerState: [shape],
      bytesPerToken: [shape],
      keyValueShape: [sizes],
      contiguousCache: {
        args: [
          device,
          { ...cacheOptions, format: { bits: 8, groups: 1, rotate: true }, checkpointEvery: 8, checkpoints: 2 },
        ],
        taken: ['1.format:function'],
      },
      pagedCache: { args: [device, paged], taken: ['1.blockSize:undefined'] },
      'pagedCache: retain': {
        args: [
          device,
          {
            ...cacheOptions,
            tokens: 64,
            blockSize: 8,
            share: false,
            retain: { hot: 16, warm: 8, cold: 8, keepFirst: 8, store: part(memoryTier()), onNote: () => undefined },
          },
        ],
        taken: ['1.blockSize:undefined'],
      },
      'pagedCache: quantized': {
        args: [
          device,
          {
            ...cacheOptions,
            format: { bits: 4, groups: 1, rotate: false, measured: part({ meanKl: 0.1, limit: 0.2 }) },
            drops: true,
          },
        ],
        taken: ['1.format:function', '1.format.measured:undefined', '1.format.measured.meanKl:1.5'],
      },
      pagedCacheBytes: { args: [paged], taken: ['0.blockSize:undefined'] },
      ...each('firstInFirstOut leastFrequentlyUsed leastRecentlyUsed lowestPriority memoryTier', []),
      heavyHitters: [{ budget: 8, recent: 2, keepFirst: 2 }],
      lastTokens: [{ recent: 2, keepFirst: 2 }],
      snapKv: [{ budget: 8, recent: 2, keepFirst: 2, pool: 3 }],
      openSequence: { args: () => [cache, `sequence ${count++}`] },
      prometheusCache: [
        () => cache.stats(),
        { client: part({ Gauge: Metric, Counter: Metric }), registry: part({ registerMetric() {} }), prefix: 'p' },
      ],
      takeSnapshot: [cache, filled, { model: 'm', tokens: [1, 2] }],
      restoreSnapshot: {
        args: () => [device, contiguousCache(device, cacheOptions), 'b', snapshot, { model: 'm', namespace: 'n' }],
      },
      stepFeeds: { args: () => [batch(), Int32Array.of(1, 2)] },
      stepOptions: [cache, 4],
      folderTier: [`${folder}/tier`, { maxBytes: 1e6 }],
      opfsTier: [part({ getFileHandle() {}, removeEntry() {} })],
      signedTier: [part(memoryTier()), new Uint8Array(32)],
      valkeyTier: {
        args: [
          { mgetBuffer() {}, pipeline() {}, del() {} },
          { prefix: 'p', seconds: 60 },
        ],
        taken: ['0:misspelt'],
      },
    },
    objects: [
      {
        of: 'cache',
        on: () => pagedCache(device, { ...cacheOptions, share: firstInFirstOut() }),
        methods: {
          sequence: ['a', { tokens: [1, 2], namespace: 'n', priority: 1, exact: true }],
          match: [{ tokens: [1, 2], namespace: 'n', priority: 1, exact: true }],
          withdraw: ['a'],
          settled: [],
          persist: [],
          stats: [],
          checkIntegrity: [],
          dispose: [],
        },
        leftOut: internalOfCaches,
      },
      {
        of: 'sequence',
        on: () => opened().sequence,
        methods: { reserve: [2], fork: ['b', 0], truncate: [0], range: [0, 0], held: [], dispose: [] },
        leftOut: internalOfSequences,
      },
      {
        of: 'policy',
        on: () => heavyHitters({ budget: 8, recent: 2, keepFirst: 2 }),
        methods: { choose: { args: [[1, 2, 3]], taken: ['0.0:*'] } },
      },
    ],
  };
}
