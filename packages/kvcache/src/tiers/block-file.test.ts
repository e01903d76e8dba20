import { expect, test } from 'vitest';
import { keyValueShape } from '../index.ts';
import { decodeBlock, encodeBlock } from './block-file.ts';
import { emptyRows } from './host-rows.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 4, dtype: 'f16' });
const identity = { key: 'a', shape, tokens: 2 };

test('a block is what was written; with any byte changed, cut off or longer it is none', async () => {
  const rows = emptyRows(shape, 2);
  for (const part of rows.flatMap((layer) => Object.values(layer)))
    new Uint8Array(part.buffer, part.byteOffset, part.byteLength).forEach((_, i, bytes) => {
      bytes[i] = i + 1;
    });
  const bytes = await encodeBlock(identity, rows);
  expect(await decodeBlock(identity, bytes)).toEqual(rows);
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i]! ^= 1;
    expect(await decodeBlock(identity, changed), `byte ${i}`).toBeUndefined();
  }
  expect(await decodeBlock(identity, bytes.slice(0, -1))).toBeUndefined();
  expect(await decodeBlock(identity, Uint8Array.of(...bytes, 0))).toBeUndefined();
});

test('a block of another store is none, also where it has as many bytes', async () => {
  const bytes = await encodeBlock(identity, emptyRows(shape, 2));
  expect(await decodeBlock({ ...identity, key: 'b' }, bytes)).toBeUndefined();
});
