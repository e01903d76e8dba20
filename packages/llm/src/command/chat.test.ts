import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { ChatSession } from './chat-session.ts';
import { parseChat } from './options/chat-options.ts';
import { UsageError } from './options/usage.ts';

function session(...answers: Parameters<typeof scriptedModel>[0][number][]) {
  const model = scriptedModel(answers);
  let [said, aside] = ['', ''];
  const screen = {
    write: (text: string) => {
      said += text;
    },
    aside: (text: string) => {
      aside += text;
    },
  };
  const talk = new ChatSession({ model, system: 'Be kind.' }, screen);
  const promptOf = (i: number) => String.fromCodePoint(...model.requests[i]!.tokens);
  return { talk, promptOf, said: () => said, aside: () => aside };
}

test('messages, of several lines too, go on from each other; commands change the conversation', async () => {
  const { talk, promptOf, said, aside } = session('One.~', 'Two.~', 'Three.~', 'Four.~');
  await talk.line('Hi');
  for (const line of ['"""', 'a', '/reset is text here', '"""']) await talk.line(line);
  expect(said()).toBe('One.\nTwo.\n');
  expect(promptOf(1)).toContain('<user>a\n/reset is text here~');
  await talk.line('/undo');
  await talk.line('again');
  expect(promptOf(2)).toBe('<system>Be kind.~<user>Hi~<assistant>One.~<user>again~<assistant>');
  await talk.line('/system Be brief.');
  await talk.line('So?');
  expect(promptOf(3)).toBe('<system>Be brief.~<user>So?~<assistant>');
  expect(await talk.line('/what')).toBe(true);
  expect(aside()).toContain('there is no /what');
  expect(await talk.line('/exit')).toBe(false);
});

test('a conversation is saved, and gone on with', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-chat-'));
  try {
    const file = join(folder, 'talk.json');
    const first = session('One.~');
    await first.talk.line('Hi');
    await first.talk.line(`/save ${file}`);
    expect(JSON.parse(await readFile(file, 'utf8'))).toHaveLength(3);
    const second = session('Two.~');
    await second.talk.line(`/load ${file}`);
    await second.talk.line('on');
    expect(second.promptOf(0)).toBe('<system>Be kind.~<user>Hi~<assistant>One.~<user>on~<assistant>');
    await writeFile(file, '{}');
    await second.talk.line(`/load ${file}`);
    await second.talk.line('/load');
    expect(second.aside()).toMatch(/holds no list of messages\nthis takes a file/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('stopping ends an answer and not the conversation; a failure is told', async () => {
  const { talk, said, aside } = session('a long answer~', ['x', new Error('broken')], 'Yes.~');
  expect(talk.stop()).toBe(false);
  const answering = talk.line('Hi');
  expect(talk.stop()).toBe(true);
  await answering;
  await talk.line('So?');
  expect(aside()).toContain('broken');
  await talk.line('And?');
  expect(said().endsWith('Yes.\n')).toBe(true);
});

test('options', () => {
  expect(() => parseChat([])).toThrow(UsageError);
  expect(parseChat(['--model', 'm', '--reasoning-budget', '5'])).toMatchObject({ model: 'm', reasoningBudget: 5 });
});

test('with JSON an answer is one object', async () => {
  const answers: object[] = [];
  const screen = {
    write: () => expect.unreachable(),
    aside: () => {},
    answered: (answer: object) => void answers.push(answer),
  };
  const talk = new ChatSession({ model: scriptedModel(['One.~', 'Two.~']) }, screen);
  for (const line of ['Hi', 'And?']) await talk.line(line);
  expect(answers).toMatchObject([
    { text: 'One.', finishReason: 'stop' },
    { text: 'Two.', finishReason: 'stop', usage: { outputTokens: 5 } },
  ]);
  expect(parseChat(['--model', 'm', '--json']).json).toBe(true);
});
