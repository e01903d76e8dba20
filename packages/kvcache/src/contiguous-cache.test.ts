import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contiguousCache, type KvSequence } from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference({ memoryBudget: 2 ** 20 });
});
afterAll(() => device.dispose());

const sizes = { layers: 1, heads: 1, headDim: 2, dtype: 'f32', maxSequences: 2, maxSequenceTokens: 4 } as const;

test('lays out a step: slots behind each length, block tables, the largest length', () => {
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
  expect(batch.maxLength).toBe(2);
  batch.advance();
  expect([a.length, b.length]).toEqual([3, 2]);
  cache.dispose();
});

test('refuses what does not fit, and nothing changes', () => {
  const cache = contiguousCache(device, sizes);
  const a = cache.sequence('a')!;
  expect(a.reserve(5)).toBeUndefined();
  expect(a.reserve(4)?.slots).toEqual(Int32Array.of(0, 1, 2, 3));
  expect(() => cache.sequence('a')).toThrow(/sequence: a is open already/);
  const b = cache.sequence('b')!;
  expect(cache.sequence('c')).toBeUndefined();
  expect(a.fork('c')).toBeUndefined();
  expect(() => b.advance(1)).toThrow(/advance: b has 0 tokens reserved, got 0 \+ 1/);
  expect(() => cache.batch([{ sequence: b, tokens: 1 }])).toThrow(/batch: b has 0 tokens reserved/);
  expect(() => a.truncate(1)).toThrow(/truncate: a has 0 tokens, got 1/);
  b.dispose();
  b.dispose();
  expect(cache.stats()).toMatchObject({ sequences: 1, blocksUsed: 1 });
  expect(() => b.reserve(1)).toThrow(/disposed/);
  expect(() => cache.batch([{ sequence: b, tokens: 0 }])).toThrow(/no open sequence/);
  cache.dispose();
  cache.dispose();
  expect(() => cache.sequence('d')).toThrow(/disposed/);
  expect(device.memory().live).toBe(0);
});

test('sizes that are no positive integers, and a cache over the budget, are refused without a trace', () => {
  expect(() => contiguousCache(device, { ...sizes, heads: 0 })).toThrow(/heads must be a positive integer, got 0/);
  expect(() => contiguousCache(device, { ...sizes, layers: 40, maxSequenceTokens: 10_000 })).toThrow(
    /kv cache asked for/,
  );
  expect(device.memory().live).toBe(0);
});

test('random operations keep the books balanced', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ kind: fc.nat(4), which: fc.nat(3), n: fc.nat(5) }), { maxLength: 60 }),
      (operations) => {
        const cache = contiguousCache(device, { ...sizes, maxSequences: 3 });
        const open = new Map<string, { sequence: KvSequence; length: number }>();
        let names = 0;
        for (const { kind, which, n } of operations) {
          const [id, entry] = [...open][which % Math.max(1, open.size)] ?? [];
          if (kind === 0) {
            const name = `s${names++}`;
            const sequence = cache.sequence(name);
            expect(sequence === undefined).toBe(open.size === 3);
            if (sequence) open.set(name, { sequence, length: 0 });
          } else if (entry && kind === 1) {
            const room = entry.sequence.reserve(n);
            expect(room === undefined).toBe(entry.length + n > 4);
            if (room) {
              entry.sequence.advance(n);
              entry.length += n;
            }
          } else if (entry && kind === 2) {
            entry.length = Math.min(entry.length, n);
            entry.sequence.truncate(entry.length);
          } else if (entry && kind === 3) {
            entry.sequence.dispose();
            open.delete(id!);
          }
          for (const { sequence, length } of open.values()) expect(sequence.length).toBe(length);
          cache.checkIntegrity();
        }
        cache.dispose();
        expect(device.memory().live).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});
