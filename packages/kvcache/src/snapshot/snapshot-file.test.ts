import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  append,
  type KvCache,
  keyValueShape,
  openSequence,
  pagedCache,
  restoreSnapshot,
  takeSnapshot,
} from '../index.ts';
import { readSnapshot, writeSnapshot } from './snapshot-file.ts';

let device: Device;
let cache: KvCache;
let bytes: Uint8Array<ArrayBuffer>;
const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
beforeAll(async () => {
  device = await openReference();
  cache = pagedCache(device, { shape, maxSequences: 2, maxSequenceTokens: 8, blockSize: 2 });
  using a = openSequence(cache, 'a');
  const rows = { keys: device.full([3, 1, 2], 1.5), values: device.full([3, 1, 2], -2) };
  await append(device, cache, a, [rows]);
  bytes = await takeSnapshot(cache, a, { model: 'llama 1', tokens: [7, 8, 9] });
});
afterAll(async () => {
  cache.dispose();
  await device.dispose();
});

const restore = (file: Uint8Array, model = 'llama 1', into = cache) =>
  restoreSnapshot(device, into, 'b', file, { model });
const refused = (file: Uint8Array, message: RegExp | string, model?: string, into?: KvCache) =>
  expect(restore(file, model, into)).rejects.toMatchObject({
    code: 'ERR_KV_SNAPSHOT',
    message: expect.stringMatching(message),
  });
const nothingLeft = () => {
  expect(cache.stats()).toMatchObject({ sequences: 0, blocksUsed: 0 });
  cache.checkIntegrity();
};

test('a file that is cut off anywhere, or longer, is refused', async () => {
  for (let length = 0; length < bytes.length; length++) await refused(bytes.slice(0, length), /^restoreSnapshot: /);
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  await refused(longer, /checksum/);
  nothingLeft();
});

test('a file of which any bit is another is refused', async () => {
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << (at % 8);
    await refused(flipped, /^restoreSnapshot: /);
  }
  nothingLeft();
});

test('a sound file of another model, of other layers, or too long, is refused', async () => {
  await refused(bytes, /it is of model 'llama 1', and 'llama 2' was asked for/, 'llama 2');
  const other = (change: object, maxSequenceTokens = 8) =>
    pagedCache(device, {
      shape: keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32', ...change }),
      maxSequences: 1,
      maxSequenceTokens,
    });
  for (const [into, why] of [
    [other({ dtype: 'f16' }), /keys f32 \[1,2\].* and the cache keeps keys f16 \[1,2\]/],
    [other({ layers: 2 }), /the cache keeps/],
    [other({ heads: 2 }), /the cache keeps/],
    [other({}, 2), /it has 3 tokens, and the cache holds 2/],
  ] as const) {
    await refused(bytes, why, 'llama 1', into);
    into.dispose();
  }
  const content = await readSnapshot(bytes);
  for (const header of [
    { model: 5 },
    { length: -1 },
    { length: 2.5 },
    { length: 4 },
    { tokens: [1, 2, 3, 4] },
    { tokens: ['a'] },
    { shape: { layers: [{ keys: { kind: 'rows', shape: [1], dtype: 'f32' } }] } },
    { shape: { layers: [{ keys: { kind: 'pages', shape: [1, 2], dtype: 'f32' } }] } },
    ...[
      [[0, 4]],
      [
        [2, 3],
        [0, 2],
      ],
      [[0, 0]],
      [[0, 1.5]],
      'all',
    ].map((ranges) => ({
      held: content.held.map((layer) =>
        Object.fromEntries(Object.entries(layer).map(([name, { data }]) => [name, { ranges, data }])),
      ),
    })),
  ])
    await refused(
      await writeSnapshot({
        ...content,
        ...header,
        ...('shape' in header && { held: [{ keys: { ranges: [], data: new Float32Array(0) } }] }),
      } as never),
      /^restoreSnapshot: /,
    );
  await expect(restore('text' as never)).rejects.toThrow('restoreSnapshot: bytes must be a Uint8Array, got');
  nothingLeft();
});

test('what is restored is known, and a full cache takes nothing', async () => {
  const b = await restore(bytes);
  expect([b.length, b.known]).toEqual([3, 3]);
  expect(cache.match({ tokens: [7, 8, 9] })).toBe(2);
  const c = openSequence(cache, 'c');
  await expect(restoreSnapshot(device, cache, 'd', bytes, { model: 'llama 1' })).rejects.toMatchObject({
    code: 'ERR_CACHE_FULL',
  });
  await expect(takeSnapshot(cache, c, { model: 'm', tokens: [1] })).rejects.toThrow(/c has 0 tokens, got 1 ids/);
  c.dispose();
  b.dispose();
  nothingLeft();
});
