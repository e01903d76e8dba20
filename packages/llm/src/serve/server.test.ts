import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { type ScriptedModel, scriptedModel } from '../../../../test-support/scripted-model.ts';
import { adapterModel, createServer, type LogEntry, localModel, type ServerOptions } from '../serve.ts';
import { chatBody } from './openai/chat.ts';

const ask = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text };
}

function open(options: ServerOptions = {}, answers: Parameters<typeof scriptedModel>[0] = ['Hello.~']) {
  const model: ScriptedModel = scriptedModel(answers);
  return { model, app: createServer({ m: model }, options) };
}

/** A model that answers only when it is let. */
function held() {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const model = scriptedModel(['Hello.~']);
  const generate: typeof model.engine.generate = (request, options) => {
    const stream = model.engine.generate(request, options);
    const next = stream.next.bind(stream);
    const aborted = new Promise<never>((_, reject) =>
      options?.signal?.addEventListener('abort', () => reject(options.signal!.reason)),
    );
    aborted.catch(() => {});
    return Object.assign(stream, { next: async () => Promise.race([gate.then(next), aborted]) });
  };
  return { release, model: { ...model, engine: { ...model.engine, generate } } };
}

describe('who may ask', () => {
  test.for([
    ['another name', { host: 'evil.example' }, 403],
    ['a name of this machine with a port', { host: 'localhost:8080' }, 200],
    ['an address', { host: '127.0.0.1:1' }, 200],
    ['a page of another origin', { host: 'localhost:8080', origin: 'http://evil.example' }, 403],
    ['a page without an origin', { host: 'localhost:8080', origin: 'null' }, 403],
    ['a page of its own', { host: 'localhost:8080', origin: 'http://localhost:8080' }, 200],
  ] as const)('%s', async ([, headers, status]) => {
    const response = await open().app.request('/v1/models', { headers });
    expect(response.status).toBe(status);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('names and origins that are allowed', async () => {
    const { app } = open({ hosts: ['box.lan'], origins: ['http://app.lan'] });
    const headers = { host: 'BOX.lan:80', origin: 'http://app.lan' };
    expect((await app.request('/v1/models', { headers })).status).toBe(200);
    expect((await app.request('/v1/models', { headers: { host: 'localhost' } })).status).toBe(403);
    expect((await open({ hosts: '*' }).app.request('/v1/models', { headers: { host: 'x' } })).status).toBe(200);
    const addresses = open({ hosts: ['<address>'] }).app;
    const statusAt = async (host: string) => (await addresses.request('/v1/models', { headers: { host } })).status;
    expect(await statusAt('192.168.0.7:8080')).toBe(200);
    expect(await statusAt('[fe80::1]:8080')).toBe(200);
    expect(await statusAt('1.2.3.4.evil.example:8080')).toBe(403);
  });

  test('a key, in either header; health needs none', async () => {
    const { app } = open({ keys: ['first-key', 'second-key'] });
    const status = async (headers: Record<string, string>) => (await app.request('/v1/models', { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status({ authorization: 'Bearer first-ke' })).toBe(401);
    expect(await status({ authorization: 'Bearer first-key' })).toBe(200);
    expect(await status({ 'x-api-key': 'second-key' })).toBe(200);
    expect((await app.request('/health')).status).toBe(200);
    expect((await app.request('/metrics')).status).toBe(401);
  });

  test('with several keys each has a cache of its own', async () => {
    const { app, model } = open({ keys: ['first-key', 'second-key'] });
    for (const key of ['first-key', 'second-key'])
      await app.request('/v1/chat/completions', post(ask, { 'x-api-key': key }));
    expect(model.requests.map(({ tenant }) => tenant)).toEqual(['key 0', 'key 1']);
  });
});

describe('bodies', () => {
  test.for([
    ['a form', post('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    ['text', post(ask, { 'content-type': 'text/plain' }), 415],
    ['no JSON', post('{'), 400],
    ['no UTF-8', { ...post(''), body: Uint8Array.of(0x22, 0xff, 0x22) }, 400],
    ['too deep', post(`${'['.repeat(5000)}${']'.repeat(5000)}`), 400],
    ['too long', post({ ...ask, user: 'x'.repeat(2000) }), 413],
    ['nothing', { method: 'POST', headers: { 'content-type': 'application/json' } }, 400],
  ] as [string, RequestInit, number][])('%s', async ([, init, status]) => {
    const { app } = open({ maxBodyBytes: 20_000 });
    const limited = status === 413 ? open({ maxBodyBytes: 1000 }).app : app;
    const response = await limited.request('/v1/chat/completions', init);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      error: { message: expect.any(String), type: 'invalid_request_error' },
    });
    expect(limited.running).toBe(0);
  });

  test('what is wrong is named', async () => {
    const { app } = open();
    const wrong = async (change: object, path = '/v1/chat/completions') => {
      const response = await app.request(path, post({ ...ask, ...change }));
      expect(response.status).toBe(400);
      return ((await response.json()) as { error: { param?: string; message: string } }).error;
    };
    expect((await wrong({ temperature: 'hot' })).param).toBe('temperature');
    expect((await wrong({ messages: [{ role: 'king', content: '' }] })).param).toBe('messages.0.role');
    expect((await wrong({ tools: [{ type: 'function', function: { name: 'a b' } }] })).param).toBe(
      'tools.0.function.name',
    );
    expect((await wrong({ logit_bias: { x: 1 } })).param).toBe('logit_bias.x');
    expect((await wrong({ functions: [{}] })).message).toMatch(/functions: is not supported, use tools/);
    expect((await wrong({ max_tokens: 5 }, '/v1/completions')).param).toBe('prompt');
    expect((await wrong({}, '/v1/messages')).message).toMatch(/max_tokens/);
    expect((await wrong({ input: [{ type: 'image' }] }, '/v1/responses')).param).toMatch(/^input/);
    expect((await wrong({ tool_choice: 'required' })).message).toMatch(/needs tools/);
    expect((await wrong({ messages: [{ role: 'user', content: 'x'.repeat(500) }] })).message).toMatch(
      /must fit into 400/,
    );
  });

  test('junk is refused, and never more than that', async () => {
    const { app } = open();
    const junk = fc.oneof(
      fc.jsonValue(),
      fc.record({ model: fc.constantFrom('m', 'x', 1), messages: fc.jsonValue(), max_tokens: fc.jsonValue() }),
      fc
        .tuple(
          fc.constantFrom(
            'n',
            'stop',
            'tools',
            'tool_choice',
            'logprobs',
            'response_format',
            'stream',
            'seed',
            'prompt',
            'input',
          ),
          fc.jsonValue(),
        )
        .map(([name, value]) => ({ ...ask, max_tokens: 4, [name]: value })),
    );
    const paths = [
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/messages',
      '/v1/responses',
      '/v1/messages/count_tokens',
      '/v1/embeddings',
      '/v1/rerank',
      '/tokenize',
      '/detokenize',
    ];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), junk, async (path, body) => {
        const response = await app.request(path, post(body));
        await response.text();
        expect(response.status, JSON.stringify(body)).toBeLessThan(500);
      }),
      runs(300),
    );
    expect(app.running).toBe(0);
  });
});

describe('limits', () => {
  test('too many requests get 429 at once, and the others their answers', async () => {
    const { model, release } = held();
    const app = createServer({ m: model }, { maxRequests: 2 });
    const running = [1, 2].map(() => app.request('/v1/chat/completions', post(ask)));
    await expect.poll(() => app.running).toBe(2);
    const turned = await app.request('/v1/chat/completions', post(ask));
    expect([turned.status, turned.headers.get('retry-after')]).toEqual([429, '1']);
    // nothing is done for it: it need not even have sent its body
    let read = false;
    const body = new ReadableStream(
      {
        pull: () => {
          read = true;
          return new Promise(() => {});
        },
      },
      { highWaterMark: 0 },
    );
    const headers = { 'content-type': 'application/json' };
    const unread = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
    expect([(await app.request('/v1/chat/completions', unread)).status, read]).toEqual([429, false]);
    expect(app.running).toBe(2);
    release();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    expect(app.running).toBe(0);
  });

  test('one key cannot take all', async () => {
    const { model, release } = held();
    const app = createServer({ m: model }, { maxRequests: 4, keys: ['first-key', 'second-key'] });
    const send = (key: string) => app.request('/v1/chat/completions', post(ask, { 'x-api-key': key }));
    const running = [send('first-key'), send('first-key')];
    await expect.poll(() => app.running).toBe(2);
    expect((await send('first-key')).status).toBe(429);
    const other = send('second-key');
    await expect.poll(() => app.running).toBe(3);
    release();
    for (const each of [...running, other]) expect((await each).status).toBe(200);
  });

  test('a request that takes too long', async () => {
    const app = createServer({ m: held().model }, { requestTimeoutMs: 30 });
    const response = await app.request('/v1/chat/completions', post(ask));
    expect(response.status).toBe(504);
    expect(app.running).toBe(0);
  });

  test('a client that leaves, and one that does not read, end their generations', async () => {
    const { app, model } = open({ stallTimeoutMs: 30 }, ['a long answer that goes on and on~']);
    const body = { ...ask, stream: true };
    const left = await app.request('/v1/chat/completions', post(body));
    await left.body!.cancel();
    const stalled = (await app.request('/v1/chat/completions', post(body))).body!.getReader();
    await stalled.read();
    await expect.poll(() => app.running).toBe(0);
    await expect.poll(() => model.left).toBeGreaterThan(0);
    await expect(async () => {
      for (;;) if ((await stalled.read()).done) return;
    }).rejects.toThrow(/does not read/);
  });

  test('stopping: no more requests, those under way end, or are ended after a time', async () => {
    const { model, release } = held();
    const app = createServer({ m: model });
    const running = app.request('/v1/chat/completions', post(ask));
    await expect.poll(() => app.running).toBe(1);
    const stopped = app.stop(60_000);
    expect((await app.request('/v1/chat/completions', post(ask))).status).toBe(503);
    expect((await app.request('/ready')).status).toBe(503);
    release();
    expect(await stopped).toBe(0);
    expect((await running).status).toBe(200);
    const other = createServer({ m: held().model });
    const cut = other.request('/v1/chat/completions', post(ask));
    await expect.poll(() => other.running).toBe(1);
    expect(await other.stop(10)).toBe(1);
    expect((await cut).status).toBe(503);
  });
});

test('a failure in the middle of a stream is an event; nothing of it is told', async () => {
  const entries: LogEntry[] = [];
  const log = (entry: LogEntry) => void entries.push(entry);
  const { app } = open({ log }, [['ab', new Error('secret at /home/x')]]);
  const streamed = await app.request('/v1/chat/completions', post({ ...ask, stream: true }));
  const text = await streamed.text();
  expect(text).toContain('"content":"a"');
  expect(text).toContain('server_error');
  const whole = await app.request('/v1/messages', post({ ...ask, max_tokens: 5 }, { 'x-request-id': 'mine' }));
  expect([whole.status, whole.headers.get('x-request-id')]).toEqual([500, 'mine']);
  const body = await whole.text();
  expect(body).toContain('api_error');
  expect(text + body).not.toMatch(/secret|home|at /);
  expect(entries.at(-1)).toMatchObject({
    requestId: 'mine',
    status: 500,
    model: 'm',
    error: expect.stringContaining('secret'),
  });
  expect(JSON.stringify(entries)).not.toContain('Hi');
});

test('figures for Prometheus, and what the server takes as a document', async () => {
  const { app } = open();
  await app.request('/v1/chat/completions', post(ask));
  const metrics = await (await app.request('/metrics')).text();
  expect(metrics).toContain('vllm:generation_tokens_total{model_name="m"} 7');
  expect(metrics).toContain('vllm:request_success_total{model_name="m",finished_reason="stop"} 1');
  expect(metrics).toContain('vllm:num_requests_running{model_name="m"} 0');
  const document = (await (await app.request('/openapi.json')).json()) as { paths: Record<string, object> };
  expect(Object.keys(document.paths)).toContain('/v1/chat/completions');
  expect(JSON.stringify(document.paths['/v1/chat/completions'])).toContain('tool_choice');
  expect(chatBody.safeParse(ask).success).toBe(true);
});

test('an adapter is a model of its own name', async () => {
  const model = scriptedModel(['Hello.~']);
  const base = localModel('m', model);
  const app = createServer([base, adapterModel('m-capitals', base, 'capitals')]);
  for (const name of ['m', 'm-capitals'])
    expect((await app.request('/v1/chat/completions', post({ ...ask, model: name }))).status).toBe(200);
  expect(model.requests.map(({ adapter }) => adapter)).toEqual([undefined, 'capitals']);
});

test('paths that are not there, and models that are none', async () => {
  const { app } = open();
  expect((await app.request('/nowhere')).status).toBe(404);
  expect((await app.request('/v1/chat/completions')).status).toBe(404);
  expect(() => createServer({})).toThrow(/takes models by name/);
  expect(() => createServer({ m: {} as never })).toThrow(/'m' must be a model/);
});
