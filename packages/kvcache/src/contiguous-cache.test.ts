import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { boundNow } from './bound-now.ts';
import {
  contiguousCache,
  type KeyValueSizes,
  type KvCache,
  type KvSequence,
  keyValueShape,
  openSequence,
} from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference({ memoryBudget: 2 ** 20 });
});
afterAll(() => device.dispose());

const sizes = (change: Partial<KeyValueSizes> = {}) => ({
  shape: keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32', ...change }),
  maxSequences: 2,
  maxSequenceTokens: 4,
});

test('has one block for each sequence: slots after each length, one column of block table', () => {
  const cache = contiguousCache(device, sizes());
  const [a, b] = [openSequence(cache, 'a'), openSequence(cache, 'b')];
  a.reserve(3);
  cache.batch([{ sequence: a, tokens: 2 }]).advance();
  b.reserve(2);
  const batch = cache.batch([
    { sequence: b, tokens: 2 },
    { sequence: a, tokens: 1 },
  ]);
  expect(batch.inputs).toEqual({
    blockTable: { data: Int32Array.of(0, 0), shape: [2, 1] },
    lengths: Int32Array.of(0, 2),
    slots: Int32Array.of(4, 5, 2),
  });
  expect(batch.sizes).toEqual({ S: 2 });
  expect(cache.symbols).toEqual({ B: 2 });
  expect(cache.stats()).toMatchObject({
    sequences: 2,
    tokens: 2,
    lossy: [],
    tokenCapacity: 8,
    blocksUsed: 2,
    blocks: 2,
    bytes: 256,
  });
  cache.dispose();
});

test('its errors say what does not fit', () => {
  const cache = contiguousCache(device, sizes());
  const [a, b] = [openSequence(cache, 'a'), openSequence(cache, 'b')];
  expect(() => cache.sequence('a')).toThrow(/sequence: a is open already/);
  expect(() => openSequence(cache, 'c')).toThrow(/no room for c, 2 sequences are open \(maxSequences\)/);
  expect(() => cache.batch([{ sequence: b, tokens: 1 }])).toThrow(/batch: b has 0 tokens reserved/);
  expect(() => a.truncate(1)).toThrow(/truncate: a has 0 tokens, got 1/);
  expect(() => a.know([1])).toThrow(/know: a has 0 tokens, of which 0 are known, got 1 more/);
  b.dispose();
  expect(() => b.reserve(1)).toThrow(/sequence b was disposed of/);
  expect(() => cache.batch([{ sequence: b, tokens: 0 }])).toThrow(/b is no open sequence of this cache/);
  expect(() => cache.bind({})).toThrow(/bind: takes lengths, blockTable, slots, lengths is missing/);
  cache.dispose();
  expect(() => cache.sequence('d')).toThrow(/the cache was disposed of/);
});

test('arguments that a program without types may pass are refused, and change nothing', () => {
  const cache = contiguousCache(device, sizes());
  const a = openSequence(cache, 'a');
  a.reserve(4);
  cache.batch([{ sequence: a, tokens: 4 }]).advance();
  expect(() => cache.sequence(undefined as never)).toThrow(/sequence: id must be a text, got undefined/);
  expect(() => a.fork(undefined as never)).toThrow(/fork: id must be a text, got undefined/);
  expect(() => cache.match(undefined as never)).toThrow(
    /match: takes options { tokens, namespace, priority, exact }, got undefined/,
  );
  expect(() => cache.sequence('b', { tokens: 'abc' as never })).toThrow(/sequence: tokens must be a list of numbers/);
  expect(() => cache.batch(undefined as never)).toThrow(/batch: rows must be a list, got undefined/);
  expect(() => cache.batch([{ seq: a, tokens: 1 } as never])).toThrow(
    /batch: rows\[0\]\.sequence must be a sequence of this cache, got undefined/,
  );
  expect(() => cache.bind(undefined as never)).toThrow(/bind: inputs must be an object, got undefined/);
  expect(() => a.know(undefined as never)).toThrow(/know: tokens must be a list of numbers/);
  for (const [id, shown] of [
    [Number.NaN, 'NaN'],
    [2 ** 32, '4294967296'],
    [1.5, '1.5'],
  ] as const)
    expect(() => a.know([0, id])).toThrow(`know: ids of tokens must be whole numbers of 32 bits, got ${shown} at 1`);
  a.know([1, -2]);
  cache.dispose();
});

test('sizes that are no positive integers, shapes that cannot be held, and a cache over the budget are refused', () => {
  const refused = (change: object) => expect(() => contiguousCache(device, { ...sizes(), ...change } as never));
  refused({ maxSequences: 0 }).toThrow(/maxSequences must be a positive integer, got 0/);
  refused({ shape: { layers: [] } }).toThrow(/at least one layer/);
  refused({ shape: { layers: [{ keys: null }] } }).toThrow(/keys of layer 0: takes options { kind.*, got null/);
  refused({ maxSequences: 2 ** 16, maxSequenceTokens: 2 ** 16 }).toThrow(/fewer than 2\^31 tokens/);
  for (const layers of [undefined, Number.NaN, 0, 1e12])
    expect(() => keyValueShape({ layers: layers as number, heads: 1, headDim: 2, dtype: 'f32' })).toThrow(
      /keyValueShape: layers must be a (positive integer|whole number from 1 to 65536), got/,
    );
  refused({ shape: { layers: [{}] } }).toThrow(/at least one store/);
  refused({ shape: { layers: [{ keys: { kind: 'rows', shape: [0, 2], dtype: 'f32' } }] } }).toThrow(
    /keys of layer 0: shape must be \[heads, width\], both positive integers, got \[0,2\]/,
  );
  const store = { kind: 'rows', shape: [1, 2], dtype: 'f32' };
  refused({ shape: { layers: [{ keys: { ...store, dtype: 'i32' } }] } }).toThrow(/dtype must be f32 or f16, got i32/);
  refused({ shape: { layers: [{ keys: { ...store, kind: 'page' } }] } }).toThrow(/must be 'rows' or 'state', got page/);
  refused({ shape: { layers: [{ keys: { ...store, kind: 'state', window: 2 } }] } }).toThrow(/a state has no window/);
  refused({ shape: { layers: [{ keys: { ...store, kind: 'state', shape: [] } }] } }).toThrow(
    /must be positive integers/,
  );
  refused({ checkpoints: -1 }).toThrow(/checkpoints must be a whole number from 0, got -1/);
  refused({ checkpointEvery: 0 }).toThrow(/checkpointEvery must be a positive integer, got 0/);
  refused({ shape: { layers: [{ keys: { ...store, window: 0 } }] } }).toThrow(/window must be a positive integer/);
  refused({ shape: { layers: [{ keys: { ...store, keepFirst: 2 } }] } }).toThrow(/keepFirst .* beside a window, got 2/);
  refused({ ...sizes({ layers: 40 }), maxSequenceTokens: 10_000 }).toThrow(/kv cache asked for/);
  expect(device.memory().live).toBe(0);
});

test('a step names what a layer does not have', async () => {
  const cache = contiguousCache(device, sizes());
  const a = openSequence(cache, 'a');
  a.reserve(1);
  const { step, dispose } = boundNow(device, cache, cache.batch([{ sequence: a, tokens: 1 }]));
  const rows = device.zeros([1, 1, 2]);
  expect(() => step.rows(0, 'latent')).toThrow(/layer 0 of 1 has keys, values, there is no latent/);
  expect(() => step.layer(1)).toThrow(/layer 1 of 1 has no rows, there is no keys/);
  expect(() => step.write(0, { keys: rows })).toThrow(/write: layer 0 must write values/);
  expect(() => step.write(0, { keys: rows, values: rows, latent: rows })).toThrow(/there is no latent/);
  rows.dispose();
  dispose();
  cache.dispose();
});

/** Writes tokens: each key is `value`, each value its negative. */
async function write(cache: KvCache, sequence: KvSequence, tokens: number, value: number): Promise<void> {
  sequence.reserve(tokens);
  const batch = cache.batch([{ sequence, tokens }]);
  const { step, dispose } = boundNow(device, cache, batch);
  const updates = cache.shape.layers.flatMap(({ keys }, layer) => {
    const rows = device.full([tokens, ...keys!.shape], value);
    return step.write(layer, { keys: rows, values: rows.neg() });
  });
  await device.realize([], updates);
  batch.advance();
  dispose();
}

test('ranges and forks of any length take a few programs, one run each', async () => {
  const cache = contiguousCache(device, { ...sizes({ layers: 3 }), maxSequenceTokens: 64 });
  const a = openSequence(cache, 'a');
  await write(cache, a, 64, 5);
  const compile = vi.spyOn(device.executor, 'compile');
  for (let end = 1; end <= 64; end++) {
    const layers = await a.range(0, end);
    expect([layers.length, layers[2]!['keys']!.length, layers[2]!['values']!.at(-1)]).toEqual([3, 2 * end, -5]);
  }
  expect(compile.mock.calls.length).toBeLessThanOrEqual(7); // of 1, 2, 4 ... 64 rows
  compile.mockClear();
  for (let length = 64; length > 0; length--) {
    a.truncate(length);
    using copy = a.fork('copy') as KvSequence;
    expect((await copy.range(length - 1, length))[0]!['keys']).toEqual(Float32Array.of(5, 5));
  }
  expect(compile.mock.calls.length).toBeLessThanOrEqual(7);
  compile.mockRestore();
  cache.dispose();
});

test('a fork that cannot be copied fails, and forks of it, and no other sequence', async () => {
  const cache = contiguousCache(device, { ...sizes({ heads: 3 }), maxSequences: 3 });
  const a = openSequence(cache, 'a');
  await write(cache, a, 2, 1);
  const compile = vi.spyOn(device.executor, 'compile').mockRejectedValueOnce(new Error('no memory for it'));
  const b = a.fork('b') as KvSequence;
  const child = b.fork('c') as KvSequence;
  await expect(b.range(0, 2)).rejects.toThrow('no memory for it');
  await expect(child.range(0, 2)).rejects.toThrow('no memory for it');
  expect(() => b.reserve(1)).toThrow('no memory for it');
  b.dispose();
  child.dispose();
  compile.mockRestore();
  await write(cache, a, 1, 2);
  const again = a.fork('b') as KvSequence;
  expect((await again.range(1, 3))[0]!['keys']).toEqual(Float32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2));
  cache.checkIntegrity();
  cache.dispose();
});

test('a cache that is used with `using` is gone after its block', async () => {
  await device.trim();
  const before = device.memory().live;
  {
    using cache = contiguousCache(device, sizes());
    using sequence = openSequence(cache, 'a');
    sequence.reserve(1);
    expect(cache.stats().sequences).toBe(1);
  }
  expect(device.memory().live).toBe(before);
});
