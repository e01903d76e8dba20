import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { identityOfFiles, saltOf } from './model-identity.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'heddle-identity-'));
});
afterAll(() => rm(root, { recursive: true }));

test('another weight, size or configuration is another model; the same files are the same one', async () => {
  const [weights, cache] = [join(root, 'model.safetensors'), join(root, 'cache')];
  await writeFile(weights, 'abcd');
  await writeFile(join(root, 'config.json'), '{}');
  const first = await identityOfFiles(root, cache);
  expect(first).toMatch(/^[0-9a-f]{64}$/);
  expect(await identityOfFiles(root, cache)).toBe(first);
  await writeFile(join(root, 'notes.txt'), 'of no account');
  expect(await identityOfFiles(root, cache)).toBe(first);

  const { mtime } = await stat(weights);
  await writeFile(weights, 'abce');
  await utimes(weights, mtime, mtime);
  const changed = await identityOfFiles(root, cache);
  expect(changed).not.toBe(first);
  await writeFile(weights, 'abcd');
  expect(await identityOfFiles(root, cache)).toBe(first);
  await writeFile(join(root, 'config.json'), '{"a":1}');
  expect(await identityOfFiles(root, cache)).not.toBe(first);
  expect(await identityOfFiles(weights, cache)).not.toBe(first);
});

test('a memory that is damaged is made anew, one that cannot be written is done without', async () => {
  const [weights, cache] = [join(root, 'model.safetensors'), join(root, 'cache')];
  const first = await identityOfFiles(weights, cache);
  await writeFile(join(cache, 'identities.json'), '{"damaged');
  expect(await identityOfFiles(weights, cache)).toBe(first);
  expect(await identityOfFiles(weights, join(weights, 'no folder'))).toBe(first);
  await expect(identityOfFiles(join(root, 'nothing'), cache)).rejects.toThrow(/ENOENT/);
});

test('a folder has one secret', async () => {
  const salt = await saltOf(join(root, 'salted'));
  expect(salt.length).toBeGreaterThan(64);
  expect(await saltOf(join(root, 'salted'))).toBe(salt);
  expect((await stat(join(root, 'salted', 'salt'))).mode & 0o777).toBe(0o600);
  // several that begin at once have one, and leave nothing beside it
  const all = await Promise.all(Array.from({ length: 4 }, () => saltOf(join(root, 'salted at once'))));
  expect(new Set(all).size).toBe(1);
  expect(await readdir(join(root, 'salted at once'))).toEqual(['salt']);
});
