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
import { openServedText } from './open-served-text.ts';
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

const ask = async (options: WorkerModelOptions, model = 'prose') => {
  const notes: string[] = [];
  const sizes = { device: 'onnx', maxSequences: 2, maxSequenceTokens: 300 } as const;
  await using opened = await openServedText(prose, { ...sizes, ...options }, (note) => notes.push(note));
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

test('adapters are models of their own names', async () => {
  const { text } = await ask({});
  const adapters = { two: join(root, 'adapter') };
  expect((await ask({ adapters }, 'two')).text).toBe(text); // which changes nothing yet
  await expect(ask({ adapters: { two: join(root, 'nothing') } })).rejects.toThrow(/no folder/);
}, 120_000);
