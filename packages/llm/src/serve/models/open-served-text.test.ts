import * as fs from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '@heddle/tensor';
import { createLora } from '@heddle/trainer/lora';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModel } from '../../index.ts';
import { adapterModel, createServer, localModel } from '../../serve.ts';
import { saveAdapter } from '../../training.ts';
import { openServedText, type StoreFiles } from './open-served-text.ts';
import type { WorkerModelOptions } from './worker-messages.ts';

const prose = fileURLToPath(new URL('../../../../../examples/models/prose4m', import.meta.url));
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'heddle-served-'));
  const device = await openDevice('onnx');
  const model = await loadModel(prose, { device });
  const lora = await createLora(device, model.parameters, { rank: 2, targets: ['q_proj'], seed: 3 });
  await mkdir(join(root, 'adapter'));
  await saveAdapter(join(root, 'adapter'), lora);
  lora.dispose();
  await model.dispose();
  await device.dispose();
}, 60_000);
afterAll(() => rm(root, { recursive: true }));

const ask = async (options: WorkerModelOptions, model = 'prose', files?: StoreFiles) => {
  const notes: string[] = [];
  const sizes = { device: 'onnx', maxSequences: 2, maxSequenceTokens: 300 } as const;
  await using opened = await openServedText(prose, { ...sizes, ...options }, (note) => notes.push(note), files);
  const local = localModel('prose', opened);
  const app = createServer([
    local,
    ...Object.keys(options.adapters ?? {}).map((name) => adapterModel(name, local, name)),
  ]);
  const body = JSON.stringify({ model, prompt: 'Once upon a time '.repeat(20), max_tokens: 4, temperature: 0 });
  const headers = { 'content-type': 'application/json' };
  const response = await app.request('/v1/completions', { method: 'POST', headers, body });
  const { choices, usage } = (await response.json()) as {
    choices: [{ text: string }];
    usage: { prompt_tokens_details: { cached_tokens: number } };
  };
  // what is in memory is written at the end
  await opened.dispose();
  return { text: choices[0].text, cached: usage.prompt_tokens_details.cached_tokens, notes };
};
const blocks = async (folder: string) => (await readdir(join(folder, 'blocks')).catch(() => [])).length;

test('what prompts begin with survives a restart, for the same model alone', async () => {
  const cacheFolder = join(root, 'cache');
  const first = await ask({ cacheFolder });
  expect([first.cached, first.notes]).toEqual([0, []]);
  const stored = await blocks(cacheFolder);
  expect(stored).toBeGreaterThan(2);
  const second = await ask({ cacheFolder });
  expect([second.text, second.notes, await blocks(cacheFolder)]).toEqual([first.text, [], stored]);
  expect(second.cached).toBeGreaterThanOrEqual(32);
  // weights in another dtype give other keys and values
  expect((await ask({ cacheFolder, dtype: 'f16' })).cached).toBe(0);
}, 120_000);

test('a folder that cannot be written to is said, and requests are answered', async () => {
  const cacheFolder = join(root, 'bounded');
  await ask({ cacheFolder });
  await rm(join(cacheFolder, 'blocks'), { recursive: true });
  const { writeFile } = await import('node:fs/promises');
  await writeFile(join(cacheFolder, 'blocks'), 'a file where a folder is to be');
  const { text, notes } = await ask({ cacheFolder });
  expect(text.length).toBeGreaterThan(0);
  expect(notes.join()).toMatch(/blocks were not written/);
}, 120_000);

test('a disk that is full, at once or later: it is said, requests are answered, nothing half is left', async () => {
  const right = (await ask({})).text;
  let room = 0;
  const files = {
    ...fs,
    writeFile: async (path: string, bytes: string | Uint8Array, options: object) => {
      if (room-- > 0) return fs.writeFile(path, bytes, options);
      // a full disk takes a name, and nothing or a part of what it is to hold
      await fs.writeFile(path, bytes.slice(0, 10), options);
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    },
  } as unknown as StoreFiles;
  const cacheFolder = join(root, 'full');
  const atOnce = await ask({ cacheFolder }, 'prose', files);
  expect([atOnce.text, atOnce.notes]).toEqual([right, [expect.stringMatching(/^folder: not used: ENOSPC/)]]);
  expect(await readdir(cacheFolder)).toEqual(['identities.json']);
  room = 3; // the secret, and two blocks
  const later = await ask({ cacheFolder }, 'prose', files);
  expect([later.text, later.notes.length]).toEqual([right, 1]);
  expect(later.notes[0]).toMatch(/blocks were not written: ENOSPC/);
  const written = await readdir(join(cacheFolder, 'blocks'));
  expect([written.length, written.filter((name) => !name.endsWith('.kv'))]).toEqual([2, []]);
  // there is room again: what was written is of use, and the rest is written
  const again = await ask({ cacheFolder });
  expect([again.text, again.notes]).toEqual([right, []]);
  expect(again.cached).toBeGreaterThan(0);
  expect(await blocks(cacheFolder)).toBeGreaterThan(2);
}, 120_000);

test('adapters are models of their own names', async () => {
  const { text } = await ask({});
  const adapters = { two: join(root, 'adapter') };
  expect((await ask({ adapters }, 'two')).text).toBe(text); // which changes nothing yet
  await expect(ask({ adapters: { two: join(root, 'nothing') } })).rejects.toThrow(/no folder/);
}, 120_000);
