import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { type GgufEntry, type GgufTensorEntry, writeGguf } from '../../../../test-support/gguf-writer.ts';
import { tinyGguf } from '../../../../test-support/tiny-gguf.ts';
import { loadModel } from '../index.ts';
import { openGguf } from './gguf-file.ts';
import { openGgufParts } from './gguf-parts.ts';

const split = (number: number, count: number, tensors = 11): Readonly<Record<string, GgufEntry>> => ({
  'split.no': ['u32', number],
  'split.count': ['u32', count],
  'split.tensors.count': ['u32', tensors],
});

/** The tiny Llama in three parts, of which the first has what it says and no tensor, as llama.cpp may write it. */
async function threeParts(): Promise<Uint8Array<ArrayBuffer>[]> {
  const whole = await openGguf(tinyGguf());
  const entries = await Promise.all(
    [...whole.tensors].map(async ([name, { shape }]): Promise<[string, GgufTensorEntry]> => {
      return [name, { type: 0, shape, bytes: await whole.read(name) }];
    }),
  );
  const none = Object.fromEntries(entries.map(([name]) => [name, undefined]));
  return [
    tinyGguf(split(0, 3), none),
    writeGguf(split(1, 3), Object.fromEntries(entries.slice(0, 4))),
    writeGguf(split(2, 3), Object.fromEntries(entries.slice(4))),
  ];
}

async function logits(device: Device, source: Parameters<typeof loadModel>[0]): Promise<number[]> {
  await using model = await loadModel(source, { device });
  const result = await model.logits([[1, 2, 3, 4, 5]]);
  const data = [...((await result.data()) as Float32Array)];
  result.dispose();
  return data;
}

const name = (part: number, count = 3) => `tiny-0000${part}-of-0000${count}.gguf`;

test('a file in parts is the model that it is whole', async () => {
  await using device = await openReference();
  const folder = await mkdtemp(join(tmpdir(), 'heddle-parts-'));
  try {
    const parts = await threeParts();
    await Promise.all(parts.map((bytes, i) => writeFile(join(folder, name(i + 1)), bytes)));
    const expected = await logits(device, {
      label: 'whole',
      open: (file) => (file === 'model.gguf' ? tinyGguf() : undefined),
    });
    expect(await logits(device, join(folder, name(1)))).toEqual(expected);
    const files = new Map(
      parts.map((bytes, i) => [i === 0 ? 'model.gguf' : `model-0000${i + 1}-of-00003.gguf`, bytes]),
    );
    expect(await logits(device, { label: 'parts', open: (file) => files.get(file) })).toEqual(expected);
    await expect(loadModel(join(folder, name(2)), { device })).rejects.toThrow(/is part 2 of 3: name the first one/);
    await rm(join(folder, name(3)));
    await expect(loadModel(join(folder, name(1)), { device })).rejects.toMatchObject({ code: 'ERR_FILE_NOT_FOUND' });
    expect(device.memory().live).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('bytes are counted on from part to part', async () => {
  const parts = await threeParts();
  const file = await openGgufParts(parts[0]!, 'tiny', (index) => parts[index]);
  expect(file.byteLength).toBe(parts.reduce((sum, { length }) => sum + length, 0));
  for (const [stored, { byteOffset, byteLength }] of file.tensors)
    expect(await file.bytes(byteOffset, byteLength)).toEqual(await file.read(stored));
  await file.close();
});

test('parts that do not belong together are refused, and none stays open', async () => {
  const [first, second, third] = (await threeParts()) as [
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
  ];
  let open = 0;
  const watched = (bytes: Uint8Array<ArrayBuffer>) => {
    open++;
    return {
      byteLength: bytes.length,
      read: async (offset: number, length: number) => bytes.slice(offset, offset + length),
      close: async () => void open--,
    };
  };
  const refused = async (parts: readonly Uint8Array<ArrayBuffer>[], message: RegExp) => {
    const opening = openGgufParts(watched(parts[0]!), 'tiny', (index) => parts[index] && watched(parts[index]));
    await expect(opening).rejects.toThrow(message);
    expect(open).toBe(0);
  };
  await refused([first, third, second], /must be part 2 of 3, it is 3 of 3/);
  await refused([first, second], /part 3 of 3 is not beside it/);
  await refused([first, second, tinyGguf(split(2, 3))], /has token_embd\.weight, as tiny \(part 2\) has/);
  await refused([first, second, writeGguf(split(2, 3), {})], /its parts must have 11 tensors, they have 4/);
  await refused([first, second, third.slice(0, 300)], /tiny \(part 3\)/);
  await refused([writeGguf({ 'split.count': ['u32', 60_000] }, {})], /split\.count must be a number up to 9999/);
});
