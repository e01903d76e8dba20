import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { contiguousCache, type KvBatch, type KvCache, type KvSequence } from '../index.ts';
import { kvCacheContract, type OpenKvCache } from '../testing.ts';
import { CacheDriver } from './cache-driver.ts';
import { applyOperations, kinds } from './cache-operations.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

test('a cache is whole after any operations', async () => {
  const sizes = { layers: 1, heads: 1, headDim: 2, dtype: 'f32', maxSequences: 3, maxSequenceTokens: 6 } as const;
  const operation = fc.record({ kind: fc.constantFrom(...kinds), which: fc.nat(5), count: fc.nat(7) });
  const driver = new CacheDriver(device, contiguousCache(device, sizes));
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), (operations) => applyOperations(driver, operations, 4)),
    runs(60, 11),
  );
  driver.dispose();
  driver.cache.dispose();
});

/** A contiguous cache of whose sequences, and batches, `change` makes others. */
function changed(change: {
  sequence?: (sequence: KvSequence, cache: KvCache) => Partial<KvSequence>;
  batch?: (batch: KvBatch) => Partial<KvBatch>;
  cache?: (cache: KvCache) => Partial<KvCache>;
}): OpenKvCache {
  return (on, sizes) => {
    const inner = contiguousCache(on, sizes);
    const originals = new Map<KvSequence, KvSequence>();
    const wrap = (sequence: KvSequence | undefined): KvSequence | undefined => {
      if (!sequence) return undefined;
      const fork = { fork: (id: string) => wrap(sequence.fork(id)) };
      const wrapper = replaced(sequence, { ...fork, ...change.sequence?.(sequence, inner) });
      originals.set(wrapper, sequence);
      return wrapper;
    };
    const original = (sequence: KvSequence) => originals.get(sequence) ?? sequence;
    return replaced(inner, {
      sequence: (id) => wrap(inner.sequence(id)),
      batch: (rows) => {
        const batch = inner.batch(rows.map((row) => ({ ...row, sequence: original(row.sequence) })));
        return replaced(batch, change.batch?.(batch) ?? {});
      },
      ...change.cache?.(inner),
    });
  };
}

/** `target` with some members replaced; the others keep their `this`. */
function replaced<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(from, name) {
      if (Object.hasOwn(members, name)) return members[name as keyof T];
      const member: unknown = Reflect.get(from, name, from);
      return typeof member === 'function' ? member.bind(from) : member;
    },
  });
}

async function broken(open: OpenKvCache): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of kvCacheContract(open, () => device, { seeds: [1] }))
    await run().catch(() => failed.push(name));
  return failed;
}

describe('the contract', () => {
  test('is kept by a cache that is merely wrapped', async () => {
    expect(await broken(changed({}))).toEqual([]);
  });

  const defects: Record<string, [open: OpenKvCache, rule: string]> = {
    'a fork without its tokens': [
      changed({
        sequence: (_, cache) => ({
          fork: (id) => {
            const empty = cache.sequence(id);
            empty?.reserve(5);
            empty?.advance(5);
            return empty;
          },
        }),
      }),
      'a fork has the same tokens, and goes its own way',
    ],
    'slots in the wrong order': [
      changed({ batch: ({ slots }) => ({ slots: slots.slice().reverse() }) }),
      'keeps the tokens of sequences that are written together',
    ],
    'a block table of others': [
      changed({ batch: ({ blockTable: { data, shape } }) => ({ blockTable: { data: data.map(() => 0), shape } }) }),
      'keeps the tokens of sequences that are written together',
    ],
    'lengths after the step': [
      changed({ batch: ({ lengths }) => ({ lengths: lengths.map((length) => length + 1) }) }),
      'a step has its rows one sequence after the other, in the slots that were reserved',
    ],
    'values where the keys are': [
      changed({
        cache: (inner) => ({
          bind: (inputs) => {
            const step = inner.bind(inputs);
            return { ...step, layer: (index) => ({ ...step.layer(index), values: step.layer(index).keys }) };
          },
        }),
      }),
      'keeps the tokens of sequences that are written together',
    ],
    'a layer that is not written': [
      changed({
        cache: (inner) => ({
          bind: (inputs) => {
            const step = inner.bind(inputs);
            return { ...step, write: (index, k, v) => (index === 1 ? [] : step.write(index, k, v)) };
          },
        }),
      }),
      'keeps them in f16',
    ],
    'room that is never given back': [
      changed({ sequence: () => ({ dispose: () => {} }) }),
      'takes all sequences at their largest, no more, and all again after they are closed',
    ],
    'memory that stays': [
      changed({ cache: () => ({ dispose: () => {} }) }),
      'leaves nothing on the device after dispose',
    ],
    'a reservation that writes': [
      changed({
        sequence: (sequence) => ({
          reserve: (tokens) => {
            const room = sequence.reserve(tokens);
            if (room) sequence.advance(tokens);
            return room;
          },
        }),
      }),
      'reserve says where the next tokens go, and says it again',
    ],
    'a range that is read later': [
      changed({
        sequence: (sequence) => ({
          range: async (start, end) => {
            await new Promise((resolve) => setTimeout(resolve, 1));
            return sequence.range(start, end);
          },
        }),
      }),
      'a range is of the moment when it was asked for',
    ],
    'a batch that may be counted twice': [
      changed({
        batch: (batch) => ({
          advance: () => {
            try {
              batch.advance();
            } catch {}
          },
        }),
      }),
      'a step has its rows one sequence after the other, in the slots that were reserved',
    ],
    'a buffer for each step': [
      changed({
        batch: () => {
          device.tensor([1]);
          return {};
        },
      }),
      'allocates nothing while tokens flow',
    ],
    'books that do not balance': [
      changed({ cache: (inner) => ({ stats: () => ({ ...inner.stats(), tokens: 1 }) }) }),
      'is whole after random use (seed 1)',
    ],
  };
  for (const [name, [open, rule]] of Object.entries(defects))
    test(`catches ${name}`, async () => {
      expect(await broken(open)).toContain(rule);
    });
});
