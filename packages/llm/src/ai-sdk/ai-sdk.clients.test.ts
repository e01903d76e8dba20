import { generateText, jsonSchema, NoSuchModelError, stepCountIs, streamText, tool } from 'ai';
import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { createHeddle } from '../ai-sdk.ts';
import { answerFormats, type TextModel } from '../index.ts';

/** A model that answers as it is written, in Hermes' way with reasoning, and follows no format. */
function heddle(...answers: string[]) {
  const scripted = scriptedModel(answers);
  const next = { mask: new Uint32Array(0x110000 / 32).fill(2 ** 32 - 1), complete: true };
  const grammars = () => ({
    open: async () => ({ next, length: 0 }),
    next: async () => next,
    close: () => {},
    dispose: () => {},
  });
  const model: TextModel = {
    ...scripted,
    engine: { ...scripted.engine, size: { ...scripted.engine.size, maxSequenceTokens: 4000 } },
    answers: { ...answerFormats.hermes, reasons: () => true },
    grammars: grammars as unknown as TextModel['grammars'],
  };
  return { scripted, provider: createHeddle({ m: model }) };
}
const promptOf = (request: { readonly tokens: readonly number[] }) => String.fromCodePoint(...request.tokens);

test('text, reasoning, usage, finish reason', async () => {
  const { provider } = heddle('<think>Hm.</think>\n\nYes.~');
  const { text, reasoningText, usage, finishReason } = await generateText({
    model: provider('m'),
    prompt: 'So?',
    system: 'Be brief.',
  });
  expect({ text, reasoningText, finishReason }).toEqual({ text: 'Yes.', reasoningText: 'Hm.', finishReason: 'stop' });
  expect(usage.outputTokens).toBe(25);
});

test('a stream of the same', async () => {
  const { provider } = heddle('<think>Hm.</think>\n\nYes, it is.~');
  const result = streamText({ model: provider.languageModel('m'), prompt: 'So?' });
  const pieces: string[] = [];
  for await (const piece of result.textStream) pieces.push(piece);
  expect(pieces.join('')).toBe('Yes, it is.');
  expect(pieces.length).toBeGreaterThan(3);
  expect(await result.reasoningText).toBe('Hm.');
  expect(await result.finishReason).toBe('stop');
});

test.for(['generate', 'stream'] as const)(
  'tools are called, and the answer goes on from their results: %s',
  async (how) => {
    const { provider, scripted } = heddle(
      '<tool_call>\n{"name": "clock", "arguments": {"zone": "UTC"}}\n</tool_call>~',
      'Noon.~',
    );
    const clock = tool({
      description: 'The time',
      inputSchema: jsonSchema<{ zone: string }>({
        type: 'object',
        properties: { zone: { type: 'string' } },
        required: ['zone'],
      }),
      execute: async ({ zone }) => ({ time: `12:00 ${zone}` }),
    });
    const asked = { model: provider('m'), prompt: 'What time is it?', tools: { clock }, stopWhen: stepCountIs(3) };
    const text = how === 'generate' ? (await generateText(asked)).text : await streamText(asked).text;
    expect(text).toBe('Noon.');
    expect(promptOf(scripted.requests[1]!)).toContain('<tool_response>\n{"time":"12:00 UTC"}\n</tool_response>');
  },
);

test('settings reach the sampler; an abort ends it; a failure is told', async () => {
  const { provider, scripted } = heddle('abc~');
  await generateText({
    model: provider('m'),
    prompt: 'x',
    temperature: 0.5,
    topK: 3,
    maxOutputTokens: 2,
    stopSequences: ['z'],
    seed: 1,
  });
  expect(scripted.requests[0]).toMatchObject({ maxTokens: 2 });
  expect(scripted.requests[0]!.sampler!.settings!.parameters).toMatchObject({ temperature: 0.5, topK: 3 });
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  const aborted = generateText({ model: provider('m'), prompt: 'x', abortSignal: controller.signal, maxRetries: 0 });
  await expect(aborted).rejects.toThrow('enough');
  // by its mark, as programs tell it: the client may bring a copy of the class of its own
  expect(() => provider('none')).toThrow(expect.toSatisfy((error) => NoSuchModelError.isInstance(error)));
  const image = { type: 'image' as const, image: new Uint8Array([1]), mediaType: 'image/png' };
  const withImage = generateText({
    model: provider('m'),
    messages: [{ role: 'user', content: [image] }],
    maxRetries: 0,
  });
  await expect(withImage).rejects.toThrow(/files in prompts/);
});
