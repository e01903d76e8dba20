import { type KvShape, pagedCacheBytes } from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { cacheSize } from './cache-size.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const rows = { kind: 'rows', shape: [1, 64], dtype: 'f32' } as const;
const state = { kind: 'state', shape: [16, 32, 32], dtype: 'f32' } as const;
const shapes: Record<string, KvShape> = {
  'full attention': { layers: [{ keys: rows, values: rows }] },
  'a window beside it': { layers: [{ keys: rows }, { keys: { ...rows, window: 64 } }] },
  'states beside it': { layers: [{ keys: rows }, { state, convolution: { ...rows, window: 4 } }] },
};

for (const [name, shape] of Object.entries(shapes))
  test(`${name}: a cache fits the bytes that it may take, and nearly fills them`, () => {
    const probe = device.zeroVariable([64]);
    const wide = probe.storage!.byteLength / 256; // the reference keeps f32 in 8 bytes
    probe.dispose();
    const bytes = 4 * 2 ** 20 * wide;
    const wishes = { maxSequences: 4, maxSequenceTokens: 128, maxBatchTokens: 64, cacheBytes: bytes };
    const size = cacheSize(device, shape, 100_000, { ...wishes, maxSequences: 40, maxSequenceTokens: undefined });
    const few = cacheSize(device, shape, 100_000, wishes);
    expect(few.tokens).toBe(512);
    const taken = (options: typeof size) => pagedCacheBytes({ ...options, shape }) * wide;
    if (name !== 'states beside it') expect(taken(size)).toBeGreaterThan(0.9 * bytes);
    expect(taken(few)).toBeLessThanOrEqual(bytes);
    const all = cacheSize(device, shape, 100_000, { ...wishes, maxSequenceTokens: undefined });
    expect(taken(all)).toBeLessThanOrEqual(bytes);
    expect(taken(all)).toBeGreaterThan(0.9 * bytes);
  });

test('a cache takes half of what the budget of the device leaves, and some tokens where it leaves nothing', () => {
  const shape = shapes['full attention']!;
  const wishes = { maxSequences: 40, maxSequenceTokens: undefined, maxBatchTokens: 64 };
  const size = (cacheBytes: number | undefined) => cacheSize(device, shape, 100_000, { ...wishes, cacheBytes });
  const memory = vi.spyOn(device, 'memory');
  const budget = (all: number, live: number) => memory.mockReturnValue({ ...device.memory(), budget: all, live });
  try {
    budget(10 * 2 ** 20, 4 * 2 ** 20);
    expect(size(undefined)).toEqual(size(3 * 2 ** 20));
    expect(size(2 ** 20).tokens).toBeLessThan(size(3 * 2 ** 20).tokens);
    budget(10 * 2 ** 20, 12 * 2 ** 20);
    expect(size(undefined)).toEqual(size(0));
  } finally {
    memory.mockRestore();
  }
});
