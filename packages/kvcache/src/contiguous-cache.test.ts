import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { contiguousCache, type KvCache, type KvSequence } from './index.ts';

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
  expect(() => contiguousCache(device, { ...sizes, dtype: 'i32' as never })).toThrow(
    /dtype must be f32 or f16, got i32/,
  );
  expect(() => contiguousCache(device, { ...sizes, layers: 40, maxSequenceTokens: 10_000 })).toThrow(
    /kv cache asked for/,
  );
  expect(device.memory().live).toBe(0);
});

/** Writes tokens: each key is `value`, each value its negative. */
async function write(cache: KvCache, sequence: KvSequence, tokens: number, value: number): Promise<void> {
  sequence.reserve(tokens);
  const batch = cache.batch([{ sequence, tokens }]);
  const inputs = [
    device.tensor(batch.blockTable.data, { shape: batch.blockTable.shape }),
    device.tensor(batch.lengths),
    device.tensor(batch.slots),
  ] as const;
  const [blockTable, lengths, slots] = inputs;
  const step = cache.bind({ blockTable, lengths, slots, maxLength: batch.maxLength });
  const { layers, heads, headDim } = cache.shape;
  const rows = device.full([tokens, heads, headDim], value);
  const updates = Array.from({ length: layers }, (_, layer) => step.write(layer, rows, rows.neg())).flat();
  await device.realize([], updates);
  batch.advance();
  for (const input of inputs) input.dispose();
}

test('ranges and forks of any length take a few programs, one run each', async () => {
  const cache = contiguousCache(device, { ...sizes, layers: 3, maxSequenceTokens: 64 });
  const a = cache.sequence('a')!;
  await write(cache, a, 64, 5);
  const compile = vi.spyOn(device.executor, 'compile');
  for (let end = 1; end <= 64; end++) {
    const { keys, values } = await a.range(0, end);
    expect([keys.length, values.length, keys[2]!.length, values[2]!.at(-1)]).toEqual([3, 3, 2 * end, -5]);
  }
  expect(compile.mock.calls.length).toBeLessThanOrEqual(7); // of 1, 2, 4 ... 64 rows
  compile.mockClear();
  for (let length = 64; length > 0; length--) {
    a.truncate(length);
    using copy = a.fork('copy')!;
    expect((await copy.range(length - 1, length)).keys[0]).toEqual(Float32Array.of(5, 5));
  }
  expect(compile.mock.calls.length).toBeLessThanOrEqual(7);
  compile.mockRestore();
  cache.dispose();
});

test('a fork that cannot be copied fails, and forks of it, and no other sequence', async () => {
  const cache = contiguousCache(device, { ...sizes, maxSequences: 3, heads: 3 });
  const a = cache.sequence('a')!;
  await write(cache, a, 2, 1);
  const compile = vi.spyOn(device.executor, 'compile').mockRejectedValueOnce(new Error('no memory for it'));
  const b = a.fork('b')!;
  const child = b.fork('c')!;
  await expect(b.range(0, 2)).rejects.toThrow('no memory for it');
  await expect(child.range(0, 2)).rejects.toThrow('no memory for it');
  expect(() => b.reserve(1)).toThrow('no memory for it');
  b.dispose();
  child.dispose();
  compile.mockRestore();
  await write(cache, a, 1, 2);
  const again = a.fork('b')!;
  expect((await again.range(1, 3)).keys[0]).toEqual(Float32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2));
  cache.checkIntegrity();
  cache.dispose();
});

test('a cache that is used with `using` is gone after its block', () => {
  const before = device.memory().live;
  {
    using cache = contiguousCache(device, sizes);
    using sequence = cache.sequence('a')!;
    sequence.reserve(1);
    expect(cache.stats().sequences).toBe(1);
  }
  expect(device.memory().live).toBe(before);
});
