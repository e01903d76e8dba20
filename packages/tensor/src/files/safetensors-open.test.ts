import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { isHeddleError } from '../checks/errors.ts';
import type { FileInput } from './byte-source.ts';
import { openSafetensors, openShardedSafetensors } from './safetensors-open.ts';
import { writeSafetensors } from './safetensors-writer.ts';

const one = { dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) } as const;
const two = { dtype: 'I64', shape: [1], data: new BigInt64Array([-3n]) } as const;
const bytes = writeSafetensors({ one, two }, { format: 'pt' });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function folderOf(name: string, files: Record<string, string | Uint8Array>): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  for (const [file, content] of Object.entries(files)) await writeFile(join(path, file), content);
  return path;
}

describe('every kind of source', () => {
  const padded = new Uint8Array(bytes.byteLength + 8);
  padded.set(bytes, 3);
  const inputs: [string, () => FileInput | Promise<FileInput>][] = [
    ['bytes', () => bytes],
    ['bytes inside a larger buffer', () => padded.subarray(3, 3 + bytes.byteLength)],
    ['a Blob', () => new Blob([bytes])],
    [
      'a source of one’s own',
      () => ({ byteLength: bytes.byteLength, read: async (at, n) => bytes.subarray(at, at + n) }),
    ],
    ['a path', async () => join(await folderOf('single', { 'a.safetensors': bytes }), 'a.safetensors')],
    ['a folder', () => folderOf('whole', { 'model.safetensors': bytes })],
  ];
  test.each(inputs)('%s', async (_name, input) => {
    const file = await openSafetensors(await input());
    expect(file.names()).toEqual(['two', 'one']);
    expect([...file.metadata]).toEqual([['format', 'pt']]);
    expect(file.info('two')).toEqual({ dtype: 'I64', shape: [1], byteLength: 8 });
    const data = await file.read('one');
    expect([data.byteOffset, data.buffer.byteLength]).toEqual([0, 8]);
    expect([...new Float32Array(data.buffer)]).toEqual([1, 2]);
    data.fill(0);
    expect([...new Float32Array((await file.read('one')).buffer)]).toEqual([1, 2]);
    await expect(file.read('three')).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_NO_TENSOR' });
    expect(() => file.info('three')).toThrow(/no tensor three among its 2 \(two, one\)/);
    await file.close();
    await file.close();
    await expect(file.read('one')).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });
});

test('reads the header and what is asked for, and nothing else', async () => {
  const reads: [number, number][] = [];
  let closed = 0;
  const source = {
    byteLength: bytes.byteLength,
    read: async (offset: number, length: number) => {
      reads.push([offset, length]);
      return bytes.subarray(offset, offset + length);
    },
    close: () => {
      closed++;
    },
  };
  const file = await openSafetensors(source);
  const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(reads).toEqual([
    [0, 8],
    [8, header],
  ]);
  await file.read('one');
  expect(reads.slice(2)).toEqual([[8 + header + 8, 8]]);
  await file.close();
  expect(closed).toBe(1);
});

test('a source is closed when its header is bad, and a short or wrong answer is an error', async () => {
  let closed = 0;
  const close = () => {
    closed++;
  };
  const bad = { byteLength: 20, read: async (_at: number, n: number) => new Uint8Array(n), close };
  await expect(openSafetensors(bad)).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_HEADER' });
  expect(closed).toBe(1);
  const short = { byteLength: 20, read: async () => new Uint8Array(3), close };
  await expect(openSafetensors(short)).rejects.toThrow('expected 8 bytes at 0, got 3');
  const wrong = { byteLength: 20, read: async () => 'text' as never, close };
  await expect(openSafetensors(wrong)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  await expect(openSafetensors(7 as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  await expect(openSafetensors({ byteLength: -1, read: short.read })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
});

test('paths that cannot be read', async () => {
  const empty = await folderOf('empty', {});
  const cases: [string, string, RegExp][] = [
    [join(folder, 'nothing'), 'ERR_FILE_NOT_FOUND', /no file at .*nothing/],
    [empty, 'ERR_FILE_NOT_FOUND', /no file at .*empty\/model\.safetensors/],
    [
      await folderOf('nested', {}).then((path) => mkdir(join(path, 'model.safetensors')).then(() => path)),
      'ERR_FILE_ACCESS',
      /EISDIR/,
    ],
  ];
  for (const [path, code, message] of cases) {
    const error = await openSafetensors(path).catch((reason: unknown) => reason);
    expect(isHeddleError(error, code), String(error)).toBe(true);
    expect((error as Error).message).toMatch(message);
  }
});

describe('sharded models', () => {
  const index = (weights: Record<string, unknown>) =>
    JSON.stringify({ metadata: { total_size: 16 }, weight_map: weights });
  const shards = {
    'a.safetensors': writeSafetensors({ one, hidden: one }),
    'b.safetensors': writeSafetensors({ two }),
  };
  const good = index({ one: 'a.safetensors', two: 'b.safetensors' });

  test('one file counts before an index beside it, left over or not', async () => {
    const own = { 'model.safetensors': shards['b.safetensors'], 'model.safetensors.index.json': good };
    for (const [name, files] of Object.entries({ stale: own, both: { ...own, ...shards } })) {
      const file = await openSafetensors(await folderOf(name, files));
      expect(file.names()).toEqual(['two']);
      await file.close();
    }
  });

  test('a folder with an index is one file, and shows what the index names', async () => {
    const path = await folderOf('sharded', { ...shards, 'model.safetensors.index.json': good });
    const file = await openSafetensors(path);
    expect(file.names()).toEqual(['one', 'two']);
    expect(file.has('hidden')).toBe(false);
    expect(file.info('two').dtype).toBe('I64');
    expect(new BigInt64Array((await file.read('two')).buffer)[0]).toBe(-3n);
    await expect(file.read('hidden')).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_NO_TENSOR' });
    await file.close();
    await file.close();
    await expect(file.read('one')).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('without a file system', async () => {
    const file = await openShardedSafetensors(good, (name) => new Blob([shards[name as keyof typeof shards]]));
    expect([...new Float32Array((await file.read('one')).buffer)]).toEqual([1, 2]);
  });

  const noMap = 'weight_map must be an object';
  const cases: [string, string, string][] = [
    ['not JSON', '{', 'must be JSON'],
    ['null', 'null', noMap],
    ['no map', '{}', noMap],
    ['a list', '{"weight_map":[]}', noMap],
    ['a number for a file', index({ one: 1 }), 'weight_map "one" must be a plain file name, got number'],
    ['a file outside', index({ one: '../a.safetensors' }), 'must be a plain file name'],
    ['a file outside, the other slash', index({ one: '..\\a.safetensors' }), 'must be a plain file name'],
    ['the folder itself', index({ one: '..' }), 'must be a plain file name'],
    ['no name', index({ one: '' }), 'must be a plain file name'],
    ['a tensor that its shard lacks', index({ two: 'a.safetensors' }), 'a.safetensors has no tensor two'],
  ];
  test.each(cases)('refused: %s', async (_name, text, message) => {
    const error = await openShardedSafetensors(text, (name) => shards[name as keyof typeof shards]).catch(
      (e: unknown) => e,
    );
    expect(isHeddleError(error, 'ERR_SAFETENSORS_INDEX'), String(error)).toBe(true);
    expect((error as Error).message).toContain(message);
  });

  test('shards already open are closed when a later one fails', async () => {
    let closed = 0;
    const a = shards['a.safetensors'];
    const source = {
      byteLength: a.byteLength,
      read: async (at: number, n: number) => a.subarray(at, at + n),
      close: () => {
        closed++;
      },
    };
    const opened = openShardedSafetensors(good, (name) => (name.startsWith('a') ? source : join(folder, 'missing')));
    await expect(opened).rejects.toMatchObject({ code: 'ERR_FILE_NOT_FOUND' });
    expect(closed).toBe(1);
  });
});

const model = '../shared/models/stories260K/model.safetensors';
test.skipIf(!existsSync(model))(`a model as others wrote it (needs ${model})`, async () => {
  const file = await openSafetensors(model);
  expect(file.info('model.embed_tokens.weight')).toEqual({ dtype: 'F32', shape: [512, 64], byteLength: 131072 });
  expect(file.info('model.layers.4.self_attn.k_proj.weight').shape).toEqual([32, 64]);
  const norm = new Float32Array((await file.read('model.norm.weight')).buffer);
  expect(norm.length).toBe(64);
  expect(norm.every((value) => Number.isFinite(value) && Math.abs(value) < 100)).toBe(true);
  await file.close();
});

test('without a file system a path is an error that says what to do', async () => {
  vi.stubGlobal('process', undefined);
  try {
    await expect(openSafetensors('model.safetensors')).rejects.toMatchObject({
      code: 'ERR_FILE_ACCESS',
      message: expect.stringContaining('pass a Blob or bytes instead'),
    });
    expect((await openSafetensors(bytes)).names()).toEqual(['two', 'one']);
  } finally {
    vi.unstubAllGlobals();
  }
});

test('a part of a tensor is read, and nothing beyond it', async () => {
  const data = Float32Array.from({ length: 6 }, (_, i) => i);
  const file = await openSafetensors(
    writeSafetensors({ x: { dtype: 'F32', shape: [6], data }, y: { dtype: 'F32', shape: [6], data } }),
  );
  expect(new Float32Array((await file.read('y', { offset: 8, length: 12 })).buffer)).toEqual(data.subarray(2, 5));
  expect((await file.read('x', { offset: 24, length: 0 })).byteLength).toBe(0);
  for (const part of [
    { offset: 8, length: 17 },
    { offset: -1, length: 2 },
    { offset: 0.5, length: 1 },
  ])
    await expect(file.read('x', part)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  await file.close();
});
