import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contiguousCache } from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference({ memoryBudget: 2 ** 20 });
});
afterAll(() => device.dispose());

const sizes = { layers: 1, heads: 1, headDim: 2, dtype: 'f32', maxSequences: 2, maxSequenceTokens: 4 } as const;

test('has one block for each sequence: slots behind each length, one column of block table', () => {
  const cache = contiguousCache(device, sizes);
  const [a, b] = [cache.sequence('a')!, cache.sequence('b')!];
  a.reserve(3);
  a.advance(2);
  b.reserve(2);
  const batch = cache.batch([
    { sequence: b, tokens: 2 },
    { sequence: a, tokens: 1 },
  ]);
  expect(batch.blockTable).toEqual({ data: Int32Array.of(1, 0), shape: [2, 1] });
  expect(batch.slots).toEqual(Int32Array.of(4, 5, 2));
  expect(batch.lengths).toEqual(Int32Array.of(0, 2));
  expect(cache.stats()).toEqual({ sequences: 2, tokens: 2, tokenCapacity: 8, blocksUsed: 2, blocks: 2, bytes: 256 });
  cache.dispose();
});

test('its errors say what does not fit', () => {
  const cache = contiguousCache(device, sizes);
  const [a, b] = [cache.sequence('a')!, cache.sequence('b')!];
  expect(() => cache.sequence('a')).toThrow(/sequence: a is open already/);
  expect(() => b.advance(1)).toThrow(/advance: b has 0 tokens reserved, got 0 \+ 1/);
  expect(() => cache.batch([{ sequence: b, tokens: 1 }])).toThrow(/batch: b has 0 tokens reserved/);
  expect(() => a.truncate(1)).toThrow(/truncate: a has 0 tokens, got 1/);
  b.dispose();
  expect(() => b.reserve(1)).toThrow(/sequence b was disposed of/);
  expect(() => cache.batch([{ sequence: b, tokens: 0 }])).toThrow(/b is no open sequence of this cache/);
  cache.dispose();
  expect(() => cache.sequence('d')).toThrow(/the cache was disposed of/);
});

test('sizes that are no positive integers, and a cache over the budget, are refused without a trace', () => {
  expect(() => contiguousCache(device, { ...sizes, heads: 0 })).toThrow(/heads must be a positive integer, got 0/);
  expect(() => contiguousCache(device, { ...sizes, layers: 40, maxSequenceTokens: 10_000 })).toThrow(
    /kv cache asked for/,
  );
  expect(device.memory().live).toBe(0);
});
