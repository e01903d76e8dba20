import { fileURLToPath } from 'node:url';
import { isHeddleError } from '@heddle/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createServer, type WorkerModel, workerModel } from '../../serve.ts';

const source = fileURLToPath(new URL('../../../../../examples/models/prose4m', import.meta.url));
const ask = { model: 'prose', prompt: 'Once upon a time', max_tokens: 4, temperature: 0 };
const init = (body: object) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

let model: WorkerModel;
let restarted: unknown;
beforeAll(async () => {
  model = workerModel('prose', source, {
    device: 'onnx',
    maxSequences: 4,
    maxSequenceTokens: 400,
    onRestart: (error) => {
      restarted = error;
    },
  });
  expect(model.ready).toBe(false);
  await model.opened;
}, 120_000);
afterAll(() => model.dispose());

test('a model in a worker answers as one beside; leaving ends it; a worker that dies gives 503, and another comes', async () => {
  const app = createServer([model]);
  const response = await app.request('/v1/completions', init(ask));
  expect(await response.json()).toMatchObject({ choices: [{ text: ' of time,\n' }] });
  const wrong = await app.request('/v1/completions', init({ ...ask, prompt: 'x '.repeat(900) }));
  expect([wrong.status, ((await wrong.json()) as { error: { message: string } }).error.message]).toEqual([
    400,
    expect.stringMatching(/must fit into 400/),
  ]);
  const streamed = await app.request('/v1/completions', init({ ...ask, max_tokens: 300, stream: true }));
  await streamed.body!.cancel();
  await expect.poll(async () => (await model.stats()).running, { timeout: 20_000 }).toBe(0);

  // an abort is heard while nobody asks for the next part
  const controller = new AbortController();
  const generation = model
    .generate({ prompt: 'Once upon a time', maxTokens: 390 }, controller.signal)
    [Symbol.asyncIterator]();
  await generation.next();
  expect((await model.stats()).running).toBe(1);
  controller.abort(new Error('enough'));
  await expect.poll(async () => (await model.stats()).running, { timeout: 20_000 }).toBe(0);
  await expect(generation.next()).rejects.toThrow('enough');

  const cut = await app.request('/v1/completions', init({ ...ask, max_tokens: 300, stream: true }));
  const whole = app.request('/v1/completions', init({ ...ask, max_tokens: 300 }));
  await expect.poll(async () => (await model.stats()).running, { timeout: 20_000 }).toBe(2);
  await model.kill();
  expect((await whole).status).toBe(503);
  expect(await cut.text()).toContain('starting again');
  expect([model.ready, (await app.request('/ready')).status, app.running]).toEqual([false, 503, 0]);
  expect(restarted).toBeInstanceOf(Error);
  await expect.poll(() => model.ready, { timeout: 60_000 }).toBe(true);
  expect((await app.request('/v1/completions', init(ask))).status).toBe(200);
}, 180_000);

test('a model that cannot be opened says why, and is not tried again', async () => {
  const none = workerModel('none', '/nowhere', { device: 'reference' });
  await expect(none.opened).rejects.toThrow(/nowhere/);
  // as in this process: the command prints it without its class
  await expect(none.opened).rejects.toSatisfy((error) => isHeddleError(error, 'ERR_FILE_NOT_FOUND'));
  expect([none.ready, none.restarts]).toEqual([false, 0]);
  await none.dispose();
}, 60_000);
