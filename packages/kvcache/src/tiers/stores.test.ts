import * as files from 'node:fs/promises';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import {
  append,
  folderTier,
  type KvTier,
  keyValueShape,
  memoryTier,
  openSequence,
  pagedCache,
  signedTier,
} from '../index.ts';
import type { TierFiles } from './folder-tier.ts';

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openReference();
  folder = await mkdtemp(join(tmpdir(), 'kv-'));
});
afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 8, dtype: 'f16' });
const bytesOf = (first: number) => Uint8Array.from({ length: 50 }, (_, i) => first + i);

test('a bounded folder deletes what was used longest ago, also of another process', async () => {
  const path = join(folder, 'bounded');
  await folderTier(path).write(['a', 'b', 'c'].map((key) => ({ key, bytes: bytesOf(1) })));
  for (const [i, key] of ['a', 'b', 'c'].entries()) await files.utimes(join(path, `${key}.kv`), 100 + i, 100 + i);
  const tier = folderTier(path, { maxBytes: 160 });
  expect(await tier.has!(['a', 'd'])).toEqual([true, false]);
  await tier.write([{ key: 'd', bytes: bytesOf(2) }]);
  expect((await readdir(path)).sort()).toEqual(['b.kv', 'c.kv', 'd.kv']);
  await tier.read(['b']);
  await tier.write([{ key: 'e', bytes: bytesOf(3) }]);
  expect((await readdir(path)).sort()).toEqual(['b.kv', 'd.kv', 'e.kv']);
  await tier.delete(['d']);
  await tier.write([{ key: 'f', bytes: bytesOf(3) }]);
  expect((await readdir(path)).sort()).toEqual(['b.kv', 'e.kv', 'f.kv']);
  expect(() => folderTier(path, { maxBytes: 0 })).toThrow(/maxBytes must be a positive number, got 0/);
});

test('a folder keeps blocks as files of its owner, whole or not at all', async () => {
  const path = join(folder, 'deep', 'down');
  const tier = folderTier(path);
  expect(await tier.read(['a'])).toEqual([undefined]);
  await tier.write([
    { key: 'a', bytes: bytesOf(1) },
    { key: 'b', bytes: bytesOf(2) },
  ]);
  await tier.write([{ key: 'a', bytes: bytesOf(3) }]);
  const [a, c, b] = await tier.read(['a', 'c', 'b']);
  expect([Uint8Array.from(a!), c, Uint8Array.from(b!)]).toEqual([bytesOf(3), undefined, bytesOf(2)]);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  expect((await stat(join(path, 'a.kv'))).mode & 0o777).toBe(0o600);
  // a crash in the middle: what was there stays, and nothing else is left
  for (const broken of ['writeFile', 'rename'] as const) {
    const failing: TierFiles = {
      ...(files as unknown as TierFiles),
      [broken]: () => Promise.reject(new Error('no space')),
    };
    await expect(folderTier(path, { files: failing }).write([{ key: 'a', bytes: bytesOf(9) }])).rejects.toThrow(
      'no space',
    );
  }
  expect(await readdir(path)).toEqual(['a.kv', 'b.kv']);
  expect(Uint8Array.from((await tier.read(['a']))[0]!)).toEqual(bytesOf(3));
  await expect(tier.write([{ key: '../out', bytes: bytesOf(1) }])).rejects.toThrow(/a key has 1 to 128 letters/);
  await tier.delete(['a', 'never']);
  expect(await readdir(path)).toEqual(['b.kv']);
});

test('a folder is left alone once a cache has settled, after dispose too', async () => {
  const path = join(folder, 'settled');
  let [writing, done] = [0, 0];
  // files that take their time
  const slow = <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A) => {
      writing++;
      await new Promise((resolve) => setTimeout(resolve, 2));
      return call(...args).finally(() => done++);
    };
  };
  const own = files as unknown as TierFiles;
  const slowFiles: TierFiles = { ...own, writeFile: slow(own.writeFile), rename: slow(own.rename), rm: slow(own.rm) };
  const retain = { hot: 32, store: folderTier(path, { files: slowFiles }) };
  const cache = pagedCache(device, { shape, maxSequences: 1, maxSequenceTokens: 512, retain });
  const sequence = openSequence(cache, 'a');
  const rows = device.zeros([160, 1, 8], 'f16');
  await append(device, cache, sequence, [{ keys: rows, values: rows }]);
  await cache.settled!();
  expect([await readdir(path), done]).toEqual([expect.toSatisfy((names: string[]) => names.length === 8), writing]);
  await append(device, cache, sequence, [{ keys: rows, values: rows }]);
  rows.dispose();
  cache.dispose();
  await cache.settled!();
  expect([await readdir(path), done]).toEqual([[], writing]);
  await rm(path, { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await expect(readdir(path)).rejects.toThrow('ENOENT');
});

test('a signed tier takes a secret of 32 bytes', () => {
  expect(() => signedTier(memoryTier(), new Uint8Array(0))).toThrow(/key must be a secret of 32 bytes or more, got 0/);
});

test('a signed tier passes over what others have written, moved or changed', async () => {
  const memory = memoryTier();
  const tier = signedTier(memory, new Uint8Array(32).fill(7));
  await tier.write([{ key: 'a', bytes: bytesOf(1) }]);
  expect(await tier.read(['a'])).toEqual([bytesOf(1)]);
  const signed = memory.blocks.get('a')!;
  await memory.write([{ key: 'b', bytes: signed }]);
  expect(await tier.read(['b', 'c'])).toEqual([undefined, undefined]);
  expect(await signedTier(memory, new Uint8Array(32).fill(8)).read(['a'])).toEqual([undefined]);
  for (let at = 0; at < signed.length; at += 7) {
    const changed = signed.slice();
    changed[at]! ^= 1;
    await memory.write([{ key: 'd', bytes: changed }]);
    expect(await tier.read(['d'])).toEqual([undefined]);
  }
});

const fault = fc.record({
  kind: fc.constantFrom('cut', 'flip', 'other', 'vanish', 'slow', 'fail', 'crash', 'none'),
  at: fc.nat(2 ** 20),
});

/** A store that damages what it is asked for, one fault after the other. */
function faulty(faults: readonly { readonly kind: string; readonly at: number }[]): KvTier {
  const inner = memoryTier();
  let count = 0;
  const next = () => faults[count++ % faults.length]!;
  return {
    ...inner,
    write: async (blocks) => {
      const { kind, at } = next();
      if (kind === 'fail') throw new Error('the store is full');
      // half of it is there, and nobody says so
      if (kind === 'crash')
        inner.write(blocks.map(({ key, bytes }) => ({ key, bytes: bytes.slice(0, at % bytes.length) })));
      else inner.write(blocks);
    },
    read: async (keys) => {
      const { kind, at } = next();
      if (kind === 'fail') throw new Error('the store has gone');
      if (kind === 'slow') await new Promise((resolve) => setTimeout(resolve, at % 3));
      const found = (await inner.read(kind === 'other' ? [...inner.blocks.keys()].slice(0, 1) : keys)) as Uint8Array[];
      return found.map((bytes) => {
        if (!bytes || kind === 'vanish') return undefined;
        if (kind === 'cut') return bytes.slice(0, at % bytes.length);
        const copy = bytes.slice();
        if (kind === 'flip') copy[at % copy.length]! ^= 1 << (at % 8);
        return copy;
      });
    },
  };
}

test('whatever a store does, tokens are those that were written, or missing', async () => {
  let injected = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { minLength: 20, maxLength: 60 }), async (faults) => {
      injected += faults.filter(({ kind }) => kind !== 'none').length;
      const notes: string[] = [];
      const retain = { hot: 8, cold: 4, store: faulty(faults), onNote: (note: string) => notes.push(note) };
      const cache = pagedCache(device, { shape, maxSequences: 2, maxSequenceTokens: 64, blockSize: 4, retain });
      const all = ['a', 'b'].map((id) => openSequence(cache, id));
      const value = (id: string, position: number) => position + (id === 'a' ? 1 : 101);
      for (const sequence of all)
        for (let i = 0; i < 8; i++) {
          const data = Float32Array.from({ length: 64 }, (_, j) => value(sequence.id, sequence.length + (j >> 3)));
          const rows = device.tensor(data, { shape: [8, 1, 8] });
          await append(device, cache, sequence, [{ keys: rows, values: rows }]);
          rows.dispose();
        }
      for (const sequence of all)
        for (let start = 0; start < 64; start += 4) {
          const found = await sequence.range(start, start + 4).catch((error: { code?: string }) => {
            expect(error.code).toBe('ERR_KV_EVICTED');
            return undefined;
          });
          if (!found) continue;
          const { f16ToF32 } = await import('@heddle/tensor');
          const got = f16ToF32(found[0]!['keys'] as Uint16Array);
          expect(Array.from(got)).toEqual(Array.from({ length: 32 }, (_, j) => value(sequence.id, start + (j >> 3))));
        }
      // what is hot or cold is there, whatever the store does
      for (const sequence of all) await sequence.range(52, 64);
      const { misses } = cache.stats().tiers.at(-1)!;
      if (misses > 0) expect(notes.length).toBeGreaterThan(0);
      for (const sequence of all) sequence.dispose();
      cache.checkIntegrity();
      cache.dispose();
    }),
    runs(25),
  );
  expect(injected).toBeGreaterThan(500);
}, 60_000);
