import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { generateText, greedy, sampler, streamText, type TextPart } from '../index.ts';

const asked = [{ role: 'user', content: 'Hi' }];

test('a prompt, and what came of it', async () => {
  const model = scriptedModel(['you~rest']);
  const result = await generateText({ model, prompt: 'How are ' });
  expect(result).toMatchObject({
    text: 'you',
    finishReason: 'stop',
    stop: undefined,
    usage: { inputTokens: 8, outputTokens: 4, totalTokens: 12 },
  });
  expect(result.tokens).toEqual([...'you~'].map((character) => character.codePointAt(0)));
  expect(model.requests[0]).toMatchObject({ maxTokens: 392, stopTokens: ['~'.codePointAt(0)] });
  expect(model.requests[0]!.sampler!.takesMostLikely).toBe(true);
  expect((await generateText({ model, prompt: [65], maxTokens: 2 })).finishReason).toBe('length');
});

test('a conversation goes through the chat template, with a first message', async () => {
  const model = scriptedModel(['Yes~']);
  expect((await generateText({ model, messages: asked, system: 'Be brief.' })).text).toBe('Yes');
  expect(String.fromCodePoint(...model.requests[0]!.tokens)).toBe('<system>Be brief.~<user>Hi~<assistant>');
});

test('what the authors suggest holds where nothing else is asked for', async () => {
  const settingsOf = async (generation: object, options: object) => {
    const model = scriptedModel(['x~'], generation);
    await generateText({ model, prompt: 'a', ...options });
    const { sampler: own, maxTokens } = model.requests[0]!;
    return { maxTokens, greedy: own!.takesMostLikely === true, parameters: own!.settings?.parameters };
  };
  const authors = { sample: true, temperature: 0.6, topP: 0.9, repetitionPenalty: 1.1, maxNewTokens: 7 };
  expect(await settingsOf(authors, {})).toEqual({
    maxTokens: 7,
    greedy: false,
    parameters: { temperature: 0.6, topP: 0.9, repetitionPenalty: 1.1 },
  });
  expect(await settingsOf(authors, { temperature: 0, topP: 1, repetitionPenalty: 1, maxTokens: 3 })).toEqual({
    maxTokens: 3,
    greedy: true,
    parameters: { temperature: 0 },
  });
  expect((await settingsOf({ maxLength: 5 }, { seed: 3 })).maxTokens).toBe(4);
  expect((await settingsOf({ temperature: 0.6 }, { seed: 3 })).greedy).toBe(true);
  expect((await settingsOf({ temperature: 0.6 }, { topK: 4 })).parameters).toEqual({ temperature: 0.6, topK: 4 });
});

test('a stop string ends the text before it, and frees the request', async () => {
  const model = scriptedModel(['one\n\ntwo~']);
  const result = await generateText({ model, prompt: 'x', stop: ['zzz', '\n\n'] });
  expect(result).toMatchObject({ text: 'one', finishReason: 'stop', stop: '\n\n', usage: { outputTokens: 5 } });
  expect(model.left).toBe(1);
  // what is not one after all comes through
  expect((await generateText({ model, prompt: 'x', stop: 'two!' })).text).toBe('one\n\ntwo');
});

test('a stream gives text as it comes, again for each loop, with its parts and promises', async () => {
  const model = scriptedModel(['abc~']);
  const stream = streamText({ model, prompt: 'x', stop: 'bd' });
  const pieces: string[] = [];
  for await (const piece of stream) pieces.push(piece);
  expect(pieces).toEqual(['a', 'bc']);
  const parts: TextPart[] = [];
  for await (const part of stream.fullStream) parts.push(part);
  const code = (text: string) => [text.codePointAt(0)!];
  expect(parts).toEqual([
    { type: 'start', tokens: code('x') },
    { type: 'text', text: 'a', tokens: code('a') },
    { type: 'text', text: '', tokens: code('b') },
    { type: 'text', text: 'bc', tokens: code('c') },
    { type: 'text', text: '', tokens: code('~') },
    { type: 'text', text: '', tokens: [] },
    {
      type: 'finish',
      finishReason: 'stop',
      stop: undefined,
      usage: { inputTokens: 1, outputTokens: 4, totalTokens: 5, cachedTokens: 0, reasoningTokens: 0 },
    },
  ]);
  expect([await stream.text, await stream.finishReason, (await stream.usage).outputTokens]).toEqual(['abc', 'stop', 4]);
  expect(await stream.tokens).toHaveLength(4);
  // nobody has to read it
  expect(await streamText({ model, prompt: 'x' }).text).toBe('abc');
});

test('leaving a loop ends the generation; what had come is the result', async () => {
  const model = scriptedModel(['a long text~']);
  const stream = streamText({ model, prompt: 'x' });
  for await (const _ of stream) break;
  const { text, finishReason } = await stream.result;
  expect(finishReason).toBe('aborted');
  expect('a long text'.startsWith(text)).toBe(true);
  expect(model.left).toBe(1);
});

test('a signal, and a failure, are thrown by loops and promises', async () => {
  const why = new Error('enough');
  const controller = new AbortController();
  const stream = streamText({ model: scriptedModel(['a long text~']), prompt: 'x', signal: controller.signal });
  let seen = '';
  const reading = (async () => {
    for await (const piece of stream) {
      seen += piece;
      if (seen.length === 3) controller.abort(why);
    }
  })();
  await expect(reading).rejects.toBe(why);
  expect(seen).toBe('a l');
  await expect(stream.usage).rejects.toBe(why);
  await expect(generateText({ model: scriptedModel(['x']), prompt: 'x', signal: controller.signal })).rejects.toBe(why);
  const broken = new Error('broken');
  const failing = streamText({ model: scriptedModel([['ab', broken]]), prompt: 'x' });
  await expect(async () => {
    for await (const _ of failing);
  }).rejects.toBe(broken);
  await expect(failing.text).rejects.toBe(broken);
});

test('several texts of one prompt draw as different sequences; one that fails ends the others', async () => {
  const model = scriptedModel(['a~', 'b~', 'c~']);
  const { text, samples } = await generateText({ model, prompt: 'x', n: 3, temperature: 1, seed: 1 });
  expect([text, ...samples.map((each) => each.text)]).toEqual(['a', 'a', 'b', 'c']);
  expect(model.requests.map((request) => request.sequence)).toEqual([0, 1, 2]);
  const broken = new Error('broken');
  const failing = scriptedModel(['a very long text~', ['ab', broken]]);
  await expect(generateText({ model: failing, prompt: 'x', n: 2 })).rejects.toBe(broken);
  expect(failing.left).toBe(1);
});

test('mistakes are told by name', async () => {
  const model = scriptedModel(['x~']);
  const cases: [object, RegExp][] = [
    [{ model, promt: 'x' }, /^generateText: has no option promt; its options are model, prompt/],
    [{ prompt: 'x' }, /^generateText: needs a model, as openTextModel\(\) gives one, got undefined/],
    [{ model: 'gpt', prompt: 'x' }, /got string gpt/],
    [{ model }, /takes either a prompt or messages, got neither/],
    [{ model, prompt: 'x', messages: asked }, /got both/],
    [{ model, prompt: 'x', system: 'y' }, /system stands before messages, got it with a prompt/],
    [{ model, prompt: 7 }, /the prompt must be a string or token ids, got number 7/],
    [{ model, prompt: '' }, /the prompt is empty, and the model has no first token/],
    [{ model, messages: 'Hi' }, /messages must be a list, got string Hi/],
    [{ model, messages: [] }, /messages must have at least one, got none/],
    [{ model, prompt: 'x'.repeat(400) }, /the prompt has 400 tokens, and with the next one it must fit into 400/],
    [{ model, prompt: 'x', maxTokens: 0 }, /maxTokens must be a positive integer, got 0/],
    [{ model, prompt: 'x', stop: ['a', ''] }, /stop takes strings that are not empty, got \["a",""\]/],
    [{ model, prompt: 'x', stop: /a/ }, /stop takes strings that are not empty, got RegExp/],
    [{ model, prompt: 'x', stopTokens: 'a' }, /stopTokens must be a list of token ids, got string a/],
    [{ model, prompt: 'x', stopTokens: [-1] }, /stopTokens must be non-negative integers, got -1/],
    [{ model, prompt: 'x', n: 0 }, /n must be an integer from 1 to 65,536, got 0/],
    [{ model, prompt: 'x', topP: 2 }, /topP must be from 0 to 1, got 2/],
    [{ model, prompt: 'x', sampler: greedy(), topP: 0.5 }, /a sampler takes the place of topP/],
  ];
  for (const [options, message] of cases)
    await expect(generateText(options as never)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(message),
    });
  expect(model.requests).toEqual([]);
  expect(() => streamText(undefined as never)).toThrow(/^streamText: takes options .* got undefined/);
  const own = sampler({ seed: 1 });
  await generateText({ model, prompt: 'x', sampler: own });
  expect(model.requests[0]!.sampler).toBe(own);
});
