import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { type ProseServer, proseServer } from '../../../../test-support/prose-server.ts';

/** A few in every run of the tests, all of them in `npm run soak`. */
const conversations = times >= 10 ? 500 : 3;
const turns = 3;

let prose: ProseServer;
beforeAll(async () => {
  prose = await proseServer();
}, 120_000);
afterAll(() => prose.dispose());

interface Call {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; arguments: string };
}
interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}
interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly tool_calls?: readonly (Partial<Call> & { readonly index: number })[] };
    readonly finish_reason: string | null;
  }[];
  readonly usage: Usage | null;
}

const tools = [
  {
    type: 'function',
    function: {
      name: 'feel',
      parameters: {
        type: 'object',
        properties: { mood: { enum: ['glad', 'grave'] }, much: { type: 'boolean' } },
        required: ['mood', 'much'],
      },
    },
  },
];

async function turn(messages: readonly object[], seed: number) {
  const asked = { model: 'prose', messages, tools, tool_choice: 'required', parallel_tool_calls: false };
  const settings = { temperature: 1, seed, max_tokens: 60, reasoning_effort: 'none', stream: true };
  const body = JSON.stringify({ ...asked, ...settings, stream_options: { include_usage: true } });
  const headers = { 'content-type': 'application/json' };
  const response = await prose.app.request('/v1/chat/completions', { method: 'POST', headers, body });
  const text = await response.text();
  if (response.status !== 200) throw new Error(text);
  const calls: Call[] = [];
  let usage: Usage | undefined;
  let reason: string | null | undefined;
  for (const line of text.split('\n\n')) {
    if (line === '' || line === 'data: [DONE]') continue;
    const chunk = JSON.parse(line.slice('data: '.length)) as Chunk;
    usage = chunk.usage ?? usage;
    for (const { delta, finish_reason } of chunk.choices) {
      reason = finish_reason ?? reason;
      for (const { index, id, function: called } of delta.tool_calls ?? []) {
        if (id !== undefined) {
          expect(index).toBe(calls.length);
          calls.push({ id, type: 'function', function: { name: called!.name, arguments: '' } });
        }
        calls[index]!.function.arguments += called!.arguments;
      }
    }
  }
  return { calls, usage: usage!, reason };
}

test(`${conversations} conversations of ${turns} turns with tools: no malformed argument or index, and only what is new is computed`, async () => {
  const seed = inject('seed') % 100_000;
  for (let i = 0; i < conversations; i++) {
    const messages: object[] = [{ role: 'user', content: `How is it on day ${i}?` }];
    let before: Usage | undefined;
    for (let at = 0; at < turns; at++) {
      const { calls, usage, reason } = await turn(messages, seed + i * turns + at);
      expect([reason, calls.length]).toEqual(['tool_calls', 1]);
      const [call] = calls;
      const given = JSON.parse(call!.function.arguments) as { mood: string; much: boolean };
      expect(call!.function.name).toBe('feel');
      expect(['glad', 'grave']).toContain(given.mood);
      expect([Object.keys(given).sort(), typeof given.much]).toEqual([['mood', 'much'], 'boolean']);
      // two blocks: the one that the last token stands in, and the one that the next prompt begins in
      if (before)
        expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(
          before.prompt_tokens + before.completion_tokens - 32,
        );
      before = usage;
      messages.push({ role: 'assistant', content: null, tool_calls: calls });
      messages.push({ role: 'tool', tool_call_id: call!.id, content: `felt ${given.mood}` });
    }
  }
  expect(prose.busy()).toBe(0);
}, 3_600_000);
