import { flash } from '@heddle/attention';
import { continuousScheduler } from '@heddle/batcher';
import { auditedCapacity, auditedScheduler, capacityContract } from '@heddle/batcher/testing';
import {
  contiguousCache,
  type KvCache,
  type KvPrompt,
  type KvSequence,
  keyValueShape,
  pagedCache,
} from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { cacheCapacity, createEngine, greedy, loadModel, type ScheduledGeneration } from '../index.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** Makes the first token of each request another one, so that none waits for what another one computes. */
let requests = 0;
const request = (id: string, promptTokens: number, maxTokens: number): ScheduledGeneration => ({
  id,
  promptTokens,
  maxTokens,
  stream: Array.from({ length: promptTokens }, (_, i) => (i === 0 ? requests++ : 0)),
  stopTokens: new Set(),
  sampler: greedy(),
  sequence: 0,
  choosesOnHost: false,
  serial: false,
  flights: 0,
  kv: undefined,
  room: 0,
  lane: -1,
  stranded: false,
  ended: false,
});

describe('the capacity of a cache', () => {
  const caches: KvCache[] = [];
  afterAll(() => {
    for (const cache of caches) {
      cache.checkIntegrity();
      cache.dispose();
    }
  });
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
  const sizes = { shape, maxSequences: 3, maxSequenceTokens: 16 };
  const layouts = {
    contiguous: () => contiguousCache(device, sizes),
    paged: () => pagedCache(device, { ...sizes, blockSize: 4, tokens: 24 }),
  };
  for (const [layout, open] of Object.entries(layouts)) {
    const make = () => {
      const cache = open();
      caches.push(cache);
      return { capacity: cacheCapacity(cache), request };
    };
    for (const { name, run } of capacityContract(make)) test(`${layout}: ${name}`, run);
  }
});

test('a parent as long as the prompt leaves its last token to be computed', () => {
  const shares: number[] = [];
  const sequenceOf = (length: number) =>
    ({
      length,
      reserve: () => true,
      fork: (_id: string, shared: number) => {
        shares.push(shared);
        return sequenceOf(shared);
      },
    }) as unknown as KvSequence;
  const capacity = cacheCapacity({ maxSequenceTokens: 16 } as KvCache);
  const parent = { ...request('parent', 4, 4), kv: sequenceOf(4) };
  const like = (id: string, promptTokens: number) => {
    const child = request(id, promptTokens, 4);
    child.stream[0] = parent.stream[0]!;
    return child;
  };
  expect(capacity.admit(like('child', 4), 8, 4, parent)).toBe(3);
  expect(capacity.admit(like('beam', 6), 8, 6, parent)).toBe(4);
  expect(shares).toEqual([3, 4]);
});

test('what is shared is of one tenant and adapter, and of prompts up to the length that may be', () => {
  const asked: unknown[] = [];
  const sequenceOf = (length: number) =>
    ({
      length,
      reserve: () => true,
      fork: (id: string, shared: number) => {
        asked.push([id, 'forked', shared]);
        return sequenceOf(shared);
      },
      dispose: () => {},
    }) as unknown as KvSequence;
  const cache = {
    maxSequenceTokens: 16,
    sequence: (id: string, prompt?: KvPrompt) => {
      asked.push([id, prompt ? prompt.tokens.length : 'alone', prompt?.namespace]);
      return sequenceOf(0);
    },
    match: ({ tokens }: KvPrompt) => tokens.length - 1,
  } as unknown as KvCache;
  const capacity = cacheCapacity(cache, { shareUpTo: 6 });
  const adapter = { key: 3 } as unknown as NonNullable<ScheduledGeneration['adapter']>;
  const like = (id: string, promptTokens: number, more: Partial<ScheduledGeneration> = {}): ScheduledGeneration => ({
    ...request(id, promptTokens, 4),
    stream: Array.from({ length: promptTokens }, (_, i) => i),
    tenant: 'a',
    ...more,
  });
  const parent = { ...like('parent', 4), kv: sequenceOf(4) };
  const admit = (child: ScheduledGeneration) => capacity.admit(child, 8, child.promptTokens, parent);
  admit(like('same', 5));
  admit(like('other tenant', 5, { tenant: 'b' }));
  admit(like('other adapter', 5, { adapter }));
  admit(like('other tokens', 5, { stream: [9, 1, 2, 3, 4] }));
  admit(like('longest', 6));
  admit(like('too long', 7));
  expect(asked).toEqual([
    ['same', 'forked', 4],
    ['other tenant', 5, 'b'],
    ['other adapter', 5, expect.stringMatching(/^\["a","adapter 3 /)],
    ['other tokens', 5, 'a'],
    ['longest', 'forked', 4],
    ['too long', 'alone', undefined],
  ]);
  expect([5, 6, 7].map((length) => capacity.cachedTokens!(like('asked', length)))).toEqual([4, 5, 0]);
});

test.for(['contiguous', 'paged', 'paged and crowded'])(
  'the engine over a %s cache keeps to the rules of scheduler and capacity, whatever its requests do',
  async (layout) => {
    const model = await loadModel(tinyLlama(), { device });
    const before = device.memory().live;
    const [maxSequences, maxBatchTokens] = [3, 8];
    const sizes = { shape: model.kvShape, maxSequences, maxSequenceTokens: 24 };
    const cache =
      layout === 'contiguous'
        ? contiguousCache(device, sizes)
        : pagedCache(device, { ...sizes, blockSize: 4, tokens: layout === 'paged' ? 72 : 28 });
    const engine = createEngine({
      device,
      model,
      attention: flash(),
      cache,
      scheduler: (inner) => {
        const capacity = auditedCapacity(inner);
        const scheduler = continuousScheduler({ maxBatchTokens, maxSequences, capacity });
        return auditedScheduler(scheduler, { maxBatchTokens, maxSequences });
      },
      sampler: greedy(),
      maxBatchTokens,
    });
    const read = async (index: number): Promise<number> => {
      const tokens = Array.from({ length: 1 + ((index * 5) % 13) }, (_, i) => (index + i) % 16);
      const stream = engine.generate({ tokens, maxTokens: 1 + ((index * 7) % 11), stopTokens: [index % 16] });
      let count = 0;
      for await (const _ of stream) if (++count === (index % 4 === 0 ? 3 : Number.POSITIVE_INFINITY)) break;
      return (await stream.ended).newTokens;
    };
    const counts = await Promise.all(Array.from({ length: 24 }, (_, index) => read(index)));
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(cache.stats()).toMatchObject({ sequences: 0, tokens: 0, blocksUsed: 0 });
    cache.checkIntegrity();
    await engine.dispose();
    await device.trim();
    expect(device.memory().live).toBeLessThanOrEqual(before);
    await model.dispose();
  },
);
