import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createServer, type ServedModel } from '../serve.ts';
import { before, timeLimit } from './time-limit.ts';

const slow = (ended: (reason: unknown) => void): ServedModel => ({
  id: 'slow',
  ready: true,
  maxSequenceTokens: 100,
  generate: () => {
    throw new Error('generates no text');
  },
  tokens: () => new Promise(() => {}),
  text: async () => '',
  stats: async () => ({ running: 0, waiting: 0, cacheUsage: 0 }),
  embed: (_, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        ended(signal.reason);
        reject(signal.reason);
      });
    }),
});
const post = (body: object) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'slow', ...body }),
});

test('requests that generate nothing end in time, too', async () => {
  const reasons: unknown[] = [];
  const app = createServer([slow((reason) => reasons.push(reason))], { requestTimeoutMs: 30 });
  const embedded = await app.request('/v1/embeddings', post({ input: 'a' }));
  const tokens = await app.request('/tokenize', post({ prompt: 'a' }));
  expect([embedded.status, tokens.status, reasons.length, app.running]).toEqual([504, 504, 1, 0]);
  expect(await embedded.json()).toMatchObject({ error: { message: 'The request took longer than it may.' } });
});

test('a body that never ends is not waited for', async () => {
  const app = createServer([slow(() => {})], { requestTimeoutMs: 30 });
  for (const path of ['/v1/completions', '/tokenize']) {
    const body = new ReadableStream<Uint8Array>({ start: (own) => own.enqueue(new TextEncoder().encode('{"model":')) });
    const sent = { ...post({}), body, duplex: 'half' };
    expect([(await app.request(path, sent)).status, app.running]).toEqual([504, 0]);
  }
});

test('a client that goes away ends what it asked for', async () => {
  const reasons: unknown[] = [];
  const app = createServer([slow((reason) => reasons.push(reason))]);
  const controller = new AbortController();
  const response = app.request('/v1/embeddings', { ...post({ input: 'a' }), signal: controller.signal });
  await wait(20);
  controller.abort();
  expect([(await response).status, reasons.length, app.running]).toEqual([499, 1, 0]);
});

test('lets go of signals', async () => {
  const outer = new AbortController();
  const limit = timeLimit(1e6, [outer.signal]);
  limit.end();
  outer.abort();
  expect(limit.signal.aborted).toBe(false);
  await expect(before(AbortSignal.abort('over'), new Promise(() => {}))).rejects.toBe('over');
  expect(await before(limit.signal, Promise.resolve(1))).toBe(1);
  expect(timeLimit(1e6, [AbortSignal.abort('over')]).signal.reason).toBe('over');
});
