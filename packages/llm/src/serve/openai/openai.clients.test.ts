import OpenAI from 'openai';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { conformanceTable } from '../../../../../test-support/conformance-table.ts';
import { fetchOf, type ProseServer, proseServer } from '../../../../../test-support/prose-server.ts';

let server: ProseServer;
let client: OpenAI;
beforeAll(async () => {
  server = await proseServer();
  client = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch: fetchOf(server.app), maxRetries: 0 });
}, 120_000);
afterAll(async () => {
  // steps that were submitted before an end was found are still under way
  await vi.waitFor(() => expect([server.busy(), server.app.running]).toEqual([0, 0]), { timeout: 10_000 });
  await server.dispose();
});

const conforms = conformanceTable('openai');
const messages = [{ role: 'user' as const, content: 'It was a cold evening, and' }];
const short = { model: 'prose', messages, max_completion_tokens: 4, temperature: 0 };
const mood = { type: 'object', properties: { mood: { enum: ['glad', 'grave'] } }, required: ['mood'] };
const feel = { type: 'function' as const, function: { name: 'feel', description: 'Says a mood', parameters: mood } };

conforms(
  'chat completion',
  'id, object, created, model, choices, finish_reason, usage with cached tokens',
  async () => {
    const first = await client.chat.completions.create(short);
    expect(first).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      model: 'prose',
      choices: [{ index: 0, message: { role: 'assistant', refusal: null }, finish_reason: 'length', logprobs: null }],
      usage: { completion_tokens: 4 },
    });
    expect(first.choices[0]!.message.content).not.toBe('');
    expect(first.usage!.total_tokens).toBe(first.usage!.prompt_tokens + 4);
    const again = await client.chat.completions.create({
      ...short,
      messages: [...messages, { role: 'user', content: 'so' }],
    });
    expect(again.usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThanOrEqual(0);
  },
);

conforms('messages', 'system, developer, user, assistant with tool_calls, tool; content as text or parts', async () => {
  const { choices } = await client.chat.completions.create({
    ...short,
    messages: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'feel', arguments: '{"mood":"glad"}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: 'noted' },
    ],
    tools: [feel],
    tool_choice: 'none',
  });
  expect(choices).toHaveLength(1);
});

conforms('stream', 'deltas, finish_reason, stream_options.include_usage', async () => {
  const whole = await client.chat.completions.create(short);
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  const stream = await client.chat.completions.create({
    ...short,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks[0]!.choices[0]!.delta).toMatchObject({ role: 'assistant', content: '' });
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  expect(text).toBe(whole.choices[0]!.message.content);
  expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('length');
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
});

conforms('n, seed, temperature, top_p', 'several answers that differ, the same again for a seed', async () => {
  const ask = { ...short, n: 3, seed: 7, temperature: 1, top_p: 0.95 };
  const texts = (completion: OpenAI.ChatCompletion) => completion.choices.map(({ message }) => message.content);
  const [one, two] = await Promise.all([client.chat.completions.create(ask), client.chat.completions.create(ask)]);
  expect(new Set(texts(one)).size).toBe(3);
  expect(texts(two)).toEqual(texts(one));
});

conforms('stop', 'ends the text before it', async () => {
  const whole = (await client.chat.completions.create({ ...short, max_completion_tokens: 8 })).choices[0]!.message
    .content!;
  const stop = whole.slice(3, 6);
  const { choices } = await client.chat.completions.create({ ...short, max_completion_tokens: 8, stop: [stop] });
  expect(choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { content: whole.slice(0, whole.indexOf(stop)) },
  });
});

conforms('logprobs, top_logprobs', 'of each token, with bytes', async () => {
  const { choices } = await client.chat.completions.create({ ...short, logprobs: true, top_logprobs: 2 });
  const content = choices[0]!.logprobs!.content!;
  expect(content).toHaveLength(4);
  expect(content.map(({ token }) => token).join('')).toBe(choices[0]!.message.content);
  for (const each of content) {
    expect(each.logprob).toBeCloseTo(each.top_logprobs[0]!.logprob, 5);
    expect(new TextDecoder().decode(Uint8Array.from(each.bytes!))).toBe(each.token);
  }
});

conforms('logit_bias', 'bans a token with -100', async () => {
  const { choices } = await client.chat.completions.create({ ...short, max_completion_tokens: 1, logprobs: true });
  const { data: tokens } = await post('/tokenize', {
    model: 'prose',
    prompt: choices[0]!.message.content!,
    add_special_tokens: false,
  });
  const bias = Object.fromEntries((tokens as { tokens: number[] }).tokens.map((id) => [id, -100]));
  const other = await client.chat.completions.create({ ...short, max_completion_tokens: 1, logit_bias: bias });
  expect(other.choices[0]!.message.content).not.toBe(choices[0]!.message.content);
});

conforms('response_format', 'json_schema and json_object', async () => {
  const { choices } = await client.chat.completions.create({
    ...short,
    max_completion_tokens: 60,
    response_format: { type: 'json_schema', json_schema: { name: 'mood', schema: mood, strict: true } },
    reasoning_effort: 'none',
  });
  expect(['glad', 'grave']).toContain(JSON.parse(choices[0]!.message.content!).mood);
});

conforms('tools, tool_choice', 'required and by name; arguments that fit the schema', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: 'feel' } }] as const) {
    const ask = { ...short, max_completion_tokens: 80, tools: [feel], tool_choice, parallel_tool_calls: false };
    const { choices } = await client.chat.completions.create({ ...ask, reasoning_effort: 'none' });
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    const [call] = choices[0]!.message.tool_calls!;
    expect(call).toMatchObject({ type: 'function', function: { name: 'feel' } });
    expect(['glad', 'grave']).toContain(
      JSON.parse((call as { function: { arguments: string } }).function.arguments).mood,
    );
  }
});

conforms('tools in a stream', 'index, id and name first, arguments in pieces', async () => {
  const runner = client.chat.completions.stream({
    ...short,
    max_completion_tokens: 120,
    tools: [feel],
    tool_choice: 'required',
    reasoning_effort: 'none',
    temperature: 1,
    seed: 3,
  });
  const seen: number[] = [];
  runner.on('chunk', ({ choices }) => seen.push(...(choices[0]?.delta.tool_calls ?? []).map(({ index }) => index)));
  const { choices } = await runner.finalChatCompletion();
  const calls = choices[0]!.message.tool_calls ?? [];
  expect(calls.length).toBeGreaterThan(0);
  expect(new Set(seen).size).toBe(calls.length);
  for (const call of calls.slice(0, -1))
    expect(JSON.parse((call as typeof call & { function: { arguments: string } }).function.arguments)).toHaveProperty(
      'mood',
    );
});

conforms('reasoning_budget', 'reasoning_content apart from content', async () => {
  const ask = { ...short, model: 'thinker', max_completion_tokens: 20, reasoning_budget: 3 };
  const { choices, usage } = await client.chat.completions.create(ask as typeof short);
  const { content, reasoning_content: thought } = choices[0]!.message as {
    content: string;
    reasoning_content?: string;
  };
  expect(thought).toBeTruthy();
  expect(content).toBeTruthy();
  expect(thought + content).not.toContain('think>');
  const { reasoning_tokens: spent } = usage!.completion_tokens_details!;
  expect(spent).toBeGreaterThanOrEqual(3);
  expect(spent).toBeLessThan(12);
});

conforms('completions', 'a text, token ids, several prompts, echo, logprobs, stream', async () => {
  const ask = { model: 'prose', max_tokens: 3, temperature: 0 };
  const prompt = 'It was a cold evening, and';
  const { data } = await post('/tokenize', { model: 'prose', prompt });
  const ids = (data as { tokens: number[] }).tokens;
  const whole = await client.completions.create({ ...ask, prompt: [prompt, 'Once'], echo: true, logprobs: 1 });
  expect(whole.choices).toHaveLength(2);
  expect(whole.choices[0]!.text.startsWith(prompt)).toBe(true);
  expect(whole.choices[0]!.logprobs!.tokens).toHaveLength(3);
  let text = prompt;
  for await (const { choices } of await client.completions.create({ ...ask, prompt: ids, stream: true }))
    text += choices[0]!.text;
  expect(text).toBe(whole.choices[0]!.text);
});

conforms('models', 'list and retrieve', async () => {
  expect((await client.models.list()).data).toMatchObject([
    { id: 'prose', object: 'model', owned_by: 'heddle' },
    { id: 'thinker' },
  ]);
  expect(await client.models.retrieve('prose')).toMatchObject({ id: 'prose' });
  await expect(client.models.retrieve('none')).rejects.toMatchObject({ status: 404 });
});

conforms('abort', 'ends the generation', async () => {
  const stream = await client.chat.completions.create({ ...short, max_completion_tokens: 300, stream: true });
  for await (const _ of stream) break;
  await expect.poll(() => server.busy(), { timeout: 20_000 }).toBe(0);
});

conforms('errors', 'typed by the client, with the field', async () => {
  await expect(client.chat.completions.create({ ...short, model: 'none' })).rejects.toMatchObject({
    status: 404,
    param: 'model',
  });
  await expect(client.chat.completions.create({ ...short, temperature: -1 })).rejects.toMatchObject({
    status: 400,
    param: 'temperature',
  });
  const wrong = { ...short, messages: [{ role: 'user' as const, content: 1 as unknown as string }] };
  await expect(client.chat.completions.create(wrong)).rejects.toMatchObject({
    status: 400,
    param: 'messages.0.content',
  });
  const schema = { type: 'object', not: {} };
  const refused = { type: 'json_schema' as const, json_schema: { name: 'x', schema } };
  await expect(client.chat.completions.create({ ...short, response_format: refused })).rejects.toMatchObject({
    status: 400,
  });
});

async function post(path: string, body: object): Promise<{ status: number; data: unknown }> {
  const response = await server.app.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, data: await response.json() };
}

conforms('responses', 'text, instructions, usage; the same in a stream', async () => {
  const ask = {
    model: 'prose',
    input: 'It was a cold evening, and',
    instructions: 'Be brief.',
    max_output_tokens: 4,
    temperature: 0,
  };
  const whole = await client.responses.create({ ...ask, reasoning: { effort: 'none' as 'low' } });
  expect(whole).toMatchObject({
    object: 'response',
    status: 'incomplete',
    output: [{ type: 'message' }],
    usage: { output_tokens: 4 },
  });
  const runner = client.responses.stream({ ...ask, reasoning: { effort: 'none' as 'low' } });
  const numbers: number[] = [];
  for await (const each of runner) numbers.push(each.sequence_number);
  expect(numbers).toEqual(numbers.map((_, i) => i));
  expect((await runner.finalResponse()).output).toMatchObject([{ content: [{ text: whole.output_text }] }]);
});

conforms('responses with tools', 'function_call items and their outputs, text.format', async () => {
  const ask = {
    model: 'prose',
    input: 'So?',
    max_output_tokens: 80,
    temperature: 0,
    reasoning: { effort: 'none' as 'low' },
  };
  const tools = [{ type: 'function' as const, name: 'feel', parameters: mood, strict: true }];
  const runner = client.responses.stream({ ...ask, tools, tool_choice: 'required', parallel_tool_calls: false });
  const { output } = await runner.finalResponse();
  expect(output).toMatchObject([{ type: 'function_call', name: 'feel', status: 'completed' }]);
  const call = output[0] as OpenAI.Responses.ResponseFunctionToolCall;
  expect(['glad', 'grave']).toContain(JSON.parse(call.arguments).mood);
  const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'noted' };
  const input = [{ role: 'user' as const, content: 'So?' }, call, result];
  const format = { type: 'json_schema' as const, name: 'mood', schema: mood, strict: true };
  const next = await client.responses.create({ ...ask, input, text: { format } });
  expect(['glad', 'grave']).toContain(JSON.parse(next.output_text).mood);
});
