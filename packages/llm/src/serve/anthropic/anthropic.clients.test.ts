import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { conformanceTable } from '../../../../../test-support/conformance-table.ts';
import { fetchOf, type ProseServer, proseServer } from '../../../../../test-support/prose-server.ts';

let server: ProseServer;
let client: Anthropic;
beforeAll(async () => {
  server = await proseServer();
  client = new Anthropic({ baseURL: 'http://localhost', apiKey: 'none', fetch: fetchOf(server.app), maxRetries: 0 });
}, 120_000);
afterAll(async () => {
  // steps that were submitted before an end was found are still under way
  await vi.waitFor(() => expect([server.busy(), server.app.running]).toEqual([0, 0]), { timeout: 10_000 });
  await server.dispose();
});

const conforms = conformanceTable('anthropic');
const messages = [{ role: 'user' as const, content: 'It was a cold evening, and' }];
const short = { model: 'prose', messages, max_tokens: 4, temperature: 0 };
const mood = { type: 'object' as const, properties: { mood: { enum: ['glad', 'grave'] } }, required: ['mood'] };
const feel = { name: 'feel', description: 'Says a mood', input_schema: mood };

conforms('message', 'content, stop_reason, usage with cache reads; system as text or blocks', async () => {
  const message = await client.messages.create({ ...short, system: [{ type: 'text', text: 'Be brief.' }] });
  expect(message).toMatchObject({
    id: expect.stringMatching(/^msg_/),
    type: 'message',
    role: 'assistant',
    content: [{ type: 'text' }],
    stop_reason: 'max_tokens',
    stop_sequence: null,
    usage: { output_tokens: 4, cache_creation_input_tokens: 0 },
  });
  const { usage } = message;
  const { input_tokens: counted } = await client.messages.countTokens({
    model: 'prose',
    messages,
    system: 'Be brief.',
  });
  expect(usage.input_tokens + usage.cache_read_input_tokens!).toBe(counted);
});

conforms('stream', 'message_start to message_stop, the same text', async () => {
  const whole = await client.messages.create(short);
  const types: string[] = [];
  const stream = client.messages.stream(short).on('streamEvent', ({ type }) => types.push(type));
  expect((await stream.finalMessage()).content).toEqual(whole.content);
  expect([types[0], types[1], types.at(-3), types.at(-2), types.at(-1)]).toEqual([
    'message_start',
    'content_block_start',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
});

conforms('tools', 'tool_choice any and tool, disable_parallel_tool_use, tool_use and tool_result blocks', async () => {
  const ask = { ...short, max_tokens: 80, tools: [feel] };
  const one = await client.messages.create({ ...ask, tool_choice: { type: 'any', disable_parallel_tool_use: true } });
  expect(one).toMatchObject({ stop_reason: 'tool_use', content: [{ type: 'tool_use', name: 'feel' }] });
  const [use] = one.content;
  if (use?.type !== 'tool_use') throw new Error('no call');
  expect(['glad', 'grave']).toContain((use.input as { mood: string }).mood);
  const next = await client.messages.create({
    ...short,
    tools: [feel],
    tool_choice: { type: 'none' },
    messages: [
      ...messages,
      { role: 'assistant', content: one.content },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: use.id, content: [{ type: 'text', text: 'noted' }] }],
      },
    ],
  });
  expect(next.content[0]).toMatchObject({ type: 'text' });
});

conforms('tools in a stream', 'input_json_delta', async () => {
  const tool_choice = { type: 'tool' as const, name: 'feel', disable_parallel_tool_use: true };
  const stream = client.messages.stream({ ...short, max_tokens: 80, tools: [feel], tool_choice });
  let pieces = 0;
  stream.on('inputJson', () => pieces++);
  const { content } = await stream.finalMessage();
  expect(content).toMatchObject([{ type: 'tool_use', input: { mood: expect.any(String) } }]);
  expect(pieces).toBeGreaterThan(1);
});

conforms('thinking', 'a block of its own within budget_tokens', async () => {
  const thinking = { type: 'enabled', budget_tokens: 3 } as const;
  const stream = client.messages.stream({ ...short, model: 'thinker', max_tokens: 20, thinking });
  let thought = '';
  stream.on('thinking', (delta) => {
    thought += delta;
  });
  const { content } = await stream.finalMessage();
  expect(content).toMatchObject([
    { type: 'thinking', thinking: thought },
    { type: 'text', text: expect.stringMatching(/./) },
  ]);
  expect(thought).not.toBe('');
});

conforms('stop_sequences', 'stop_reason stop_sequence', async () => {
  const [block] = (await client.messages.create({ ...short, max_tokens: 8 })).content;
  const text = block?.type === 'text' ? block.text : '';
  const stop = text.slice(3, 6);
  const stopped = await client.messages.create({ ...short, max_tokens: 8, stop_sequences: [stop] });
  expect(stopped).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: stop });
});

conforms('errors', 'typed by the client', async () => {
  await expect(client.messages.create({ ...short, model: 'none' })).rejects.toThrow(Anthropic.NotFoundError);
  await expect(client.messages.create({ ...short, max_tokens: 0 })).rejects.toThrow(/max_tokens/);
  const image = { type: 'image', source: { type: 'url', url: 'http://localhost/x.png' } } as const;
  const asked = client.messages.create({ ...short, messages: [{ role: 'user', content: [image] }] });
  await expect(asked).rejects.toThrow(/messages.0.content.0/);
});

conforms('abort', 'ends the generation', async () => {
  const stream = client.messages.stream({ ...short, max_tokens: 300 });
  stream.on('text', () => stream.abort());
  await expect(stream.finalMessage()).rejects.toThrow(Anthropic.APIUserAbortError);
  await expect.poll(() => server.busy(), { timeout: 20_000 }).toBe(0);
});
