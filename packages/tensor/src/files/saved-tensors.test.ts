import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { isHeddleError } from '../checks/errors.ts';
import type { Device } from '../graph/device.ts';
import { openReference } from '../reference.ts';
import { loadTensors, saveTensors, tensorsToBlob, writeSafetensors } from '../safetensors.ts';

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openReference();
  folder = await mkdtemp(join(tmpdir(), 'saved-tensors-'));
});
afterAll(async () => {
  await device.dispose();
  await rm(folder, { recursive: true });
});

const values = async (tree: Record<string, { toArray(): Promise<unknown> }>) =>
  Object.fromEntries(await Promise.all(Object.entries(tree).map(async ([name, t]) => [name, await t.toArray()])));

test('a path, shards above a size, and back to one file: old files go, the name stays', async () => {
  const path = join(folder, 'weights.safetensors');
  const a = { x: device.tensor([1, 2]), y: device.tensor([3, 4]), z: device.tensor([5]) };
  const all = { x: [1, 2], y: [3, 4], z: [5] };
  await saveTensors(path, a);
  expect(await readdir(folder)).toEqual(['weights.safetensors']);
  expect(await values(await loadTensors(device, path))).toEqual(all);
  for (let round = 0; round < 2; round++) {
    await saveTensors(path, a, { maxShardBytes: 12 });
    const files = await readdir(folder);
    expect(files).toHaveLength(3);
    expect(files).toContain('weights.safetensors.index.json');
    expect(files).not.toContain('weights.safetensors');
    expect(await values(await loadTensors(device, path))).toEqual(all);
  }
  await saveTensors(path, { x: a.x });
  expect(await readdir(folder)).toEqual(['weights.safetensors']);
  expect(await values(await loadTensors(device, path, { like: { x: a.x } }))).toEqual({ x: [1, 2] });
});

test('a folder holds model.safetensors, as others read it', async () => {
  await saveTensors(`${folder}/`, { w: device.tensor([1]) }, { metadata: { format: 'pt' } });
  expect(await values(await loadTensors(device, folder))).toEqual({ w: [1] });
  await rm(join(folder, 'model.safetensors'));
});

test('what fails half way leaves what was there, and nothing else', async () => {
  const path = join(folder, 'weights.safetensors');
  const before = await readFile(path);
  const fails = device.tensor([1]);
  const promise = saveTensors(path, { a: device.tensor([9]), fails, z: device.tensor([9]) }, { maxShardBytes: 4 });
  fails.dispose();
  await expect(promise).rejects.toThrow(/disposed of/);
  expect(await readdir(folder)).toEqual(['weights.safetensors']);
  expect(await readFile(path)).toEqual(before);
  await expect(saveTensors(join(folder, 'no/such.safetensors'), { a: device.ones([1]) })).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_FILE_NOT_FOUND' }),
  );
});

test('streams and file handles take the same bytes; one that fails is aborted', async () => {
  const tree = { w: device.tensor([1, 2, 3]) };
  const chunks: Uint8Array[] = [];
  let aborted: unknown;
  const stream = () =>
    new WritableStream<Uint8Array>({
      write: (chunk) => void chunks.push(chunk),
      abort: (reason) => {
        aborted = reason;
      },
    });
  await saveTensors({ createWritable: async () => stream() }, tree);
  const written = await new Blob(chunks as BlobPart[]).arrayBuffer();
  expect(written).toEqual(await (await tensorsToBlob(tree)).arrayBuffer());
  expect(await values(await loadTensors(device, { getFile: async () => new Blob([written]) }))).toEqual({
    w: [1, 2, 3],
  });
  const gone = device.tensor([1]);
  const failing = saveTensors(stream(), { gone });
  gone.dispose();
  await expect(failing).rejects.toThrow(/disposed of/);
  expect(isHeddleError(aborted, 'ERR_DISPOSED')).toBe(true);
});

test('files that differ from the tree, and trees that are none, are refused by name', async () => {
  const file = await tensorsToBlob({ a: device.ones([2]), b: device.ones([1]) });
  const live = device.memory().live;
  const like = (tree: unknown) => loadTensors(device, file, { like: tree });
  const b = device.ones([1]);
  await expect(like({ a: device.ones([3]), b })).rejects.toThrow('loadTensors: a is [2] in the file, expected [3]');
  await expect(like({ a: device.ones([2], 'f16'), b })).rejects.toThrow('a is f32 in the file, expected f16');
  await expect(like({ a: device.ones([2]) })).rejects.toThrow('the file has b, which the tree has not');
  await expect(like({ a: device.ones([2]), b, c: [b] })).rejects.toThrow('the file has no c.0; it has a, b');
  expect(device.memory().live).toBeLessThanOrEqual(live);
  await expect(saveTensors('x', device.ones([1]))).rejects.toThrow('a tensor alone has no name');
  await expect(saveTensors('x', { a: { b: 1 } })).rejects.toThrow('got the number 1 as a.b');
  await expect(saveTensors('x', { a: { b }, 'a.b': b })).rejects.toThrow('two tensors are called a.b');
  await expect(saveTensors('x', { b }, { shards: 1 } as never)).rejects.toThrow('has no option shards');
  await expect(saveTensors({} as never, { b })).rejects.toThrow('takes a path, a file handle or a stream of bytes');
  await expect(loadTensors(device, 5 as never)).rejects.toThrow('loadTensors: takes a path');
});

test('numbers that devices do not have become those that hold them, or are refused', async () => {
  const of = (dtype: 'I64' | 'F64' | 'U8' | 'BOOL' | 'F4', data: ArrayBufferView, size: number) =>
    writeSafetensors({ x: { dtype, shape: [size], data } });
  expect(await values(await loadTensors(device, of('I64', BigInt64Array.of(-5n, 7n), 2)))).toEqual({ x: [-5, 7] });
  expect(await values(await loadTensors(device, of('F64', Float64Array.of(0.5), 1)))).toEqual({ x: [0.5] });
  expect(await values(await loadTensors(device, of('U8', Uint8Array.of(200), 1)))).toEqual({ x: [200] });
  const live = device.memory().live;
  await expect(loadTensors(device, of('I64', BigInt64Array.of(2n ** 40n), 1))).rejects.toThrow('which is no i32');
  await expect(loadTensors(device, of('BOOL', Uint8Array.of(2), 1))).rejects.toThrow('other than 0 and 1');
  await expect(loadTensors(device, of('F4', Uint8Array.of(2), 2))).rejects.toThrow('x is F4');
  expect(device.memory().live).toBeLessThanOrEqual(live);
});

test('damaged files are refused with a code, and leave nothing behind', async () => {
  const whole = new Uint8Array(
    await (
      await tensorsToBlob({ a: device.ones([4]), b: device.tensor([true]) }, { metadata: { k: 'v' } })
    ).arrayBuffer(),
  );
  const live = device.memory().live;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length - 1),
      fc.integer({ min: 0, max: 255 }),
      fc.boolean(),
      async (at, byte, cut) => {
        const bytes = cut ? whole.slice(0, at) : whole.slice();
        if (!cut) bytes[at] = byte;
        try {
          for (const tensor of Object.values(await loadTensors(device, bytes))) tensor.dispose();
        } catch (error) {
          if (!isHeddleError(error)) throw error;
        }
        expect(device.memory().live).toBeLessThanOrEqual(live);
      },
    ),
    runs(200),
  );
  await writeFile(join(folder, 'bad.safetensors.index.json'), '{"weight_map": {"a": "../x"}}');
  await expect(loadTensors(device, join(folder, 'bad.safetensors'))).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_SAFETENSORS_INDEX' }),
  );
});
