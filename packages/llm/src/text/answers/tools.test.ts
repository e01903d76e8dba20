import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../../test-support/scripted-model.ts';
import {
  answerFormats,
  chat,
  generateText,
  streamText,
  type TextModel,
  type TextPart,
  type Tool,
} from '../../index.ts';
import { conversationText } from './conversation.ts';
import { answerFormatOf } from './standard-formats.ts';

const clock: Tool = { name: 'clock', description: 'The time', parameters: { type: 'object', properties: {} } };
const messages = [{ role: 'user', content: 'What time is it?' }];
const { hermes } = answerFormats;

/** A model that follows no format, and answers as it is written. */
function model(...answers: string[]): TextModel & { readonly requests: ReturnType<typeof scriptedModel>['requests'] } {
  const scripted = scriptedModel(answers);
  const next = { mask: new Uint32Array(0x110000 / 32).fill(2 ** 32 - 1), complete: true };
  const sequence = { next, length: 0 };
  const grammars = () => ({ open: async () => sequence, next: async () => next, close: () => {}, dispose: () => {} });
  const engine = { ...scripted.engine, size: { ...scripted.engine.size, maxSequenceTokens: 2000 } };
  return { ...scripted, engine, answers: hermes, grammars: grammars as unknown as TextModel['grammars'] };
}

test('calls come as parts with an index, a name and pieces of arguments, and as a result', async () => {
  const speaker = model('Wait.<tool_call>\n{"name": "clock", "arguments": {"a": 1}}\n</tool_call>~');
  const stream = streamText({ model: speaker, messages, tools: [clock] });
  const parts: TextPart[] = [];
  for await (const part of stream.fullStream) parts.push(part);
  const calls = parts.filter(({ type }) => type === 'tool-call' || type === 'tool-arguments');
  expect(calls[0]).toMatchObject({ type: 'tool-call', index: 0, name: 'clock', id: expect.stringMatching(/^call_/) });
  const pieces = calls.slice(1).map((part) => (part.type === 'tool-arguments' ? part.text : ''));
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join('')).toBe('{"a": 1}');
  // every token is in one part
  const { tokens, text, toolCalls, finishReason } = await stream.result;
  expect(parts.flatMap((part) => (part.type === 'finish' || part.type === 'start' ? [] : part.tokens))).toEqual(tokens);
  expect({ text, toolCalls, finishReason }).toMatchObject({
    text: 'Wait.',
    toolCalls: [{ name: 'clock', arguments: '{"a": 1}' }],
    finishReason: 'tool-calls',
  });
  // the template knows no tools: the model is told
  const prompt = String.fromCodePoint(...speaker.requests[0]!.tokens);
  expect(prompt).toContain('<system>You may call these functions');
  expect(prompt).toContain('"name":"clock"');
});

test('reasoning is a part of its own; stop strings count in the text alone', async () => {
  const facts = { ...hermes, reasons: () => true };
  const speaker = { ...model('<think>\nA END b\n</think>\n\nYes END no~'), answers: facts };
  const { reasoning, text, stop, usage } = await generateText({ model: speaker, messages, stop: 'END' });
  expect({ reasoning, text, stop }).toEqual({ reasoning: 'A END b', text: 'Yes ', stop: 'END' });
  expect(usage.reasoningTokens).toBeGreaterThan(5);
});

test('a conversation with tools goes on from its calls', async () => {
  const speaker = model('<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>~', 'Noon.~');
  const talk = chat({ model: speaker, tools: [clock] });
  const { toolCalls } = await talk.send('What time is it?');
  expect((await talk.send({ role: 'tool', tool_call_id: toolCalls[0]!.id, content: '12:00' })).text).toBe('Noon.');
  expect(talk.messages[1]).toMatchObject({ role: 'assistant', tool_calls: [{ function: { name: 'clock' } }] });
  expect(String.fromCodePoint(...speaker.requests[1]!.tokens)).toContain('<tool_response>\n12:00\n</tool_response>');
});

test('a template that knows tools gets them, with arguments as objects', () => {
  const { tokenizer } = scriptedModel([]);
  const seen: unknown[] = [];
  const knowing = {
    ...tokenizer!,
    chatTemplateText: () => '{% if tools %}',
    applyChatTemplate: (...args: unknown[]) => String(seen.push(args)),
  };
  const calls = [{ id: 'a', type: 'function', function: { name: 'clock', arguments: '{"a":1}' } }];
  const asked = [...messages, { role: 'assistant', content: '', tool_calls: calls }];
  const options = { tools: [clock], reasoning: { enabled: false, effort: 'low' as const } };
  conversationText(knowing, hermes, asked, { variables: { x: 1 } }, options);
  conversationText(knowing, hermes, asked, {}, { tools: [clock], toolChoice: 'none' });
  const [first, second] = seen as [[typeof asked, Record<string, unknown>], [typeof asked, Record<string, unknown>]];
  expect(first[0][1]).toMatchObject({ tool_calls: [{ function: { arguments: { a: 1 } } }] });
  expect(first[1]).toMatchObject({
    tools: [{ type: 'function', function: { name: 'clock' } }],
    variables: { x: 1, enable_thinking: false, reasoning_effort: 'low' },
  });
  expect(second[1]).not.toHaveProperty('tools');
});

test('the way to answer is known by template and vocabulary', () => {
  const { tokenizer } = scriptedModel([]);
  const knows = (template: string, ...tokens: string[]) =>
    answerFormatOf({
      ...tokenizer!,
      chatTemplateText: () => template,
      encode: (text) => (tokens.includes(text) ? [tokens.indexOf(text)] : [0, 0]),
      decode: ([id]) => tokens[id!] ?? '',
    }).name;
  expect(knows('', '<|channel|>', '<|message|>', '<|call|>')).toBe('harmony');
  expect(knows('```json', '<｜tool▁calls▁begin｜>')).toBe('deepseek');
  expect(knows('<｜tool▁sep｜>', '<｜tool▁calls▁begin｜>')).toBe('deepseek31');
  expect(knows('... <tool_call> ...')).toBe('hermes');
  expect(knows('', '<|python_tag|>', '<|eom_id|>')).toBe('llama');
  expect(knows('<start_of_turn>user')).toBe('gemma');
  expect(knows('')).toBe('hermes');
});

test.for([
  [{ tools: 'x' }, /tools must be a list/],
  [{ tools: [{ name: 'a b' }] }, /tools\[0\].name must be 1 to 128 letters/],
  [{ tools: [clock, clock] }, /tools\[1\].name 'clock' is there twice/],
  [{ tools: [{ name: 'a', parameters: { type: 'string' } }] }, /tools\[0\].parameters must be of type 'object'/],
  [{ tools: [{ name: 'a', description: 1 }] }, /tools\[0\].description must be a string/],
  [{ toolChoice: 'required' }, /toolChoice 'required' needs tools/],
  [{ tools: [clock], toolChoice: { name: 'x' } }, /toolChoice names 'x', which is none of the tools/],
  [{ tools: [clock], toolChoice: 'some' }, /toolChoice takes/],
  [{ reasoning: { budget: -1 } }, /reasoning.budget must be a whole number/],
  [{ reasoning: { effort: 'huge' } }, /reasoning.effort takes/],
  [{ messages: undefined, prompt: 'x', tools: [clock] }, /tools needs messages, got it with a prompt/],
] as const)('%j is refused', async ([options, message]) => {
  const asked = { model: model('x~'), messages, ...options } as unknown as Parameters<typeof generateText>[0];
  await expect(generateText(asked)).rejects.toThrow(message);
});
