import type { Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { type ProseServer, proseServer } from '../../../../test-support/prose-server.ts';
import { createServer, type HeddleServer, type ServedModel, type ServedPart } from '../serve.ts';
import { type Draw, drawing, requestText, rudely, rudenesses } from './testing/rude-clients.ts';

/** A few in every run of the tests, all of them in `npm run soak`. */
const isSoak = times >= 10;
const requests = isSoak ? 20_000 : 40;

const listening = async (app: HeddleServer): Promise<{ server: Server; port: number }> => {
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port };
};
const connections = (server: Server) =>
  new Promise<number>((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

let prose: ProseServer;
let http: Awaited<ReturnType<typeof listening>>;
beforeAll(async () => {
  prose = await proseServer();
  http = await listening(prose.app);
}, 120_000);
afterAll(async () => {
  http.server.close();
  await prose.dispose();
});

const message = { role: 'user', content: 'Hello' };
const bodies: readonly (readonly [path: string, body: object])[] = [
  ['/v1/completions', { model: 'prose', prompt: 'Once upon a time', max_tokens: 4, temperature: 0 }],
  ['/v1/completions', { model: 'prose', prompt: 'The sea was', max_tokens: 3, temperature: 0, stream: true }],
  ['/v1/completions', { model: 'prose', prompt: ['A', 'B'], n: 2, max_tokens: 2, seed: 3, temperature: 1 }],
  ['/v1/chat/completions', { model: 'prose', messages: [message], max_tokens: 3, temperature: 0, stream: true }],
  ['/v1/responses', { model: 'prose', input: 'Hello', max_output_tokens: 3, temperature: 0 }],
  ['/v1/messages', { model: 'prose', messages: [message], max_tokens: 3, temperature: 0, stream: true }],
  ['/v1/messages/count_tokens', { model: 'prose', messages: [message] }],
  ['/tokenize', { model: 'prose', prompt: 'Once upon a time' }],
];
const junk = (draw: Draw): string =>
  [
    '{"model": "prose", ',
    String.fromCharCode(...Array.from({ length: 40 }, () => 32 + draw(90))),
    `${'['.repeat(400)}${']'.repeat(400)}`,
    '{"model": "prose", "prompt": {"a": 1}}',
    '{"model": "nobody", "prompt": "a", "messages": 7}',
    'null',
  ][draw(6)]!;

/** What an answer says, without names and times that are new each time. */
const essence = (text: string) =>
  text
    .replace(/"(id|item_id|created|created_at|request_id|completed_at)":\s*("[^"]*"|\d+)/g, '')
    .replace(
      /"cached_tokens":\s*\d+|"cache_read_input_tokens":\s*\d+|"cache_creation_input_tokens":\s*\d+|"input_tokens":\s*\d+/g,
      '',
    );

test(
  `${requests} requests of every kind, a third of which are left: nothing is lost or left behind`,
  async () => {
    const draw = drawing(inject('seed'));
    const { port, server } = http;
    const ask = async (path: string, body: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', connection: 'close' },
        body,
      });
      return { status: response.status, text: await response.text() };
    };
    const right: string[] = [];
    for (const [path, body] of bodies) right.push(essence((await ask(path, JSON.stringify(body))).text));
    await expect.poll(() => prose.busy(), { timeout: 20_000 }).toBe(0);
    // what the last step was given stays until the next: the same one before and after
    const last = async () => {
      await ask(bodies[0]![0], JSON.stringify(bodies[0]![1]));
      await wait(100);
    };
    await last();
    const before = { bytes: prose.liveBytes(), timers: timers(), held: prose.heldBlocks() };

    const wrong: string[] = [];
    let next = 0;
    const client = async () => {
      while (next++ < requests) {
        const which = draw(bodies.length);
        const [path, body] = bodies[which]!;
        const text = JSON.stringify(body);
        switch (draw(6)) {
          case 0:
          case 1:
            await rudely(port, requestText(path, text), rudenesses[draw(rudenesses.length)]!, draw);
            break;
          case 2: {
            const { status } = await ask(path, junk(draw));
            if (status < 400 || status >= 500) wrong.push(`junk got ${status}`);
            break;
          }
          default: {
            const { status, text: said } = await ask(path, text);
            if (status !== 200 || essence(said) !== right[which])
              wrong.push(`${path}: ${status} ${essence(said).slice(0, 300)}`);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, client));
    expect(wrong).toEqual([]);
    await expect
      .poll(async () => [prose.app.running, prose.busy(), await connections(server)], { timeout: 30_000 })
      .toEqual([0, 0, 0]);
    await last();
    await expect
      .poll(() => ({ timers: timers(), held: prose.heldBlocks() }), { timeout: 10_000 })
      .toEqual({ timers: before.timers, held: before.held });
    // some bytes of the last steps' tokens come and go; a request that left its own behind would be far more
    expect(Math.abs(prose.liveBytes() - before.bytes)).toBeLessThan(1024);
  },
  isSoak ? 3_600_000 : 120_000,
);

/** Answers when it is let. */
function waiting(until: () => Promise<void>): ServedModel {
  const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2, cachedTokens: 0, reasoningTokens: 0 };
  return {
    id: 'slow',
    ready: true,
    maxSequenceTokens: 100,
    async *generate(): AsyncGenerator<ServedPart> {
      yield { type: 'start', tokens: [1] };
      await until();
      yield { type: 'text', text: 'a', tokens: [2] };
      yield { type: 'finish', finishReason: 'stop', stop: undefined, usage };
    },
    tokens: async () => [],
    text: async () => '',
    stats: async () => ({ running: 0, waiting: 0, cacheUsage: 0 }),
  };
}

test(
  'overload: others get 429 at once, and a key that floods leaves the others their share',
  async () => {
    const [flooding, other] = ['a-key-that-floods', 'another-long-key'];
    let gate = Promise.resolve();
    const app = createServer([waiting(() => gate)], { keys: [flooding, other], maxRequests: 8 });
    const ask = async (key: string) => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
      const body = JSON.stringify({ model: 'slow', prompt: 'a', max_tokens: 1 });
      const response = await app.request('/v1/completions', { method: 'POST', headers, body });
      await response.text();
      return { status: response.status, retry: response.headers.get('retry-after') };
    };
    const rounds = isSoak ? 100 : 3;
    for (let round = 0; round < rounds; round++) {
      let open = () => {};
      gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      let refusals = 0;
      const flood = Array.from({ length: 80 }, async () => {
        const answer = await ask(flooding);
        if (answer.status === 429 && ++refusals === 76) open();
        return answer;
      });
      const theirs = await Promise.all(Array.from({ length: 4 }, () => ask(other)));
      expect(theirs.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      const all = await Promise.all(flood);
      const refused = all.filter(({ status }) => status === 429);
      expect([all.filter(({ status }) => status === 200).length, refused.length]).toEqual([4, 76]);
      expect(refused.every(({ retry }) => Number(retry) >= 1)).toBe(true);
    }
    expect(app.running).toBe(0);
  },
  isSoak ? 600_000 : 60_000,
);
