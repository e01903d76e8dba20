import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { chat } from '../index.ts';

const promptOf = (request: { readonly tokens: readonly number[] }) => String.fromCodePoint(...request.tokens);

test('turns go on from each other, with the tokens of answers as they were generated', async () => {
  const model = scriptedModel(['Hello.~', 'Fine~']);
  const talk = chat({ model, system: 'Be kind.', temperature: 0.5, seed: 2 });
  expect((await talk.send('Hi')).text).toBe('Hello.');
  const pieces: string[] = [];
  for await (const piece of talk.stream('How are you?', { temperature: 0 })) pieces.push(piece);
  expect(pieces.join('')).toBe('Fine');
  expect(promptOf(model.requests[0]!)).toBe('<system>Be kind.~<user>Hi~<assistant>');
  expect(promptOf(model.requests[1]!)).toBe(
    '<system>Be kind.~<user>Hi~<assistant>Hello.~<user>How are you?~<assistant>',
  );
  expect(model.requests.map(({ sampler }) => sampler!.takesMostLikely === true)).toEqual([false, true]);
  await talk.send([{ role: 'tool', content: '7' }]);
  expect(talk.messages.map(({ role, content }) => `${role}: ${content}`)).toEqual([
    'system: Be kind.',
    'user: Hi',
    'assistant: Hello.',
    'user: How are you?',
    'assistant: Fine',
    'tool: 7',
    'assistant: Hello.',
  ]);
});

test('an answer that was cut off at its length goes on with its tokens; one that a stop string ended is encoded anew', async () => {
  const model = scriptedModel(['Once upon~', 'ab|cd~', 'x~']);
  const talk = chat({ model, maxTokens: 4, messages: [] });
  expect(await talk.send('Tell')).toMatchObject({ text: 'Once', finishReason: 'length' });
  expect(await talk.send('On', { stop: '|', maxTokens: 6 })).toMatchObject({ text: 'ab', stop: '|' });
  await talk.send('Off');
  expect(promptOf(model.requests[1]!)).toBe('<user>Tell~<assistant>Once~<user>On~<assistant>');
  expect(promptOf(model.requests[2]!)).toBe('<user>Tell~<assistant>Once~<user>On~<assistant>ab~<user>Off~<assistant>');
});

test('what differs from its encoding stays as it was generated', async () => {
  // here a token stands for two letters, as byte pairs do, and encoding gives the letters
  const model = scriptedModel(['\u{1f600}!~', 'x~']);
  const tokenizer = model.requireTokenizer();
  const spelled = (text: string) => text.replaceAll('\u{1f600}', 'ab');
  const pairs = {
    ...model,
    requireTokenizer: () => ({
      ...tokenizer,
      stream: (options: object) => {
        const letters = tokenizer.stream(options);
        return { push: (id: number) => spelled(letters.push(id)), finish: () => '' };
      },
    }),
  };
  const talk = chat({ model: { ...pairs, tokenizer: pairs.requireTokenizer() } });
  await talk.send('Hi');
  await talk.send('Ho');
  expect(promptOf(model.requests[1]!)).toContain('<assistant>\u{1f600}!~<user>Ho');
});

test('a turn that fails or is left leaves the conversation as it was; one at a time', async () => {
  const broken = new Error('broken');
  const model = scriptedModel([['Hel', broken], 'Hello there~', 'Hello.~']);
  const talk = chat({ model });
  await expect(talk.send('Hi')).rejects.toBe(broken);
  const stream = talk.stream('Hi');
  expect(() => talk.stream('Ho')).toThrow(/^chat: a turn is under way/);
  for await (const _ of stream) break;
  await stream.result;
  expect(talk.messages).toEqual([]);
  expect((await talk.send('Hi')).text).toBe('Hello.');
  expect(promptOf(model.requests[2]!)).toBe('<user>Hi~<assistant>');
});

test('mistakes are told by name', async () => {
  const model = scriptedModel(['x~']);
  expect(() => chat({} as never)).toThrow(/^chat: needs a model, as openTextModel\(\) gives one, got undefined/);
  expect(() => chat({ model, temprature: 1 } as never)).toThrow(/^chat: has no option temprature/);
  expect(() => chat({ model, messages: 'Hi' as never })).toThrow(/messages must be a list, got string Hi/);
  const talk = chat({ model });
  for (const wrong of [7, null, [], [{ content: 'x' }]])
    expect(() => talk.stream(wrong as never)).toThrow(/^chat: takes a text or messages \{ role, content \}/);
  expect(() => talk.stream('x', { model } as never)).toThrow(/^chat: has no option model/);
  expect((await talk.send('x')).text).toBe('x');
});
