import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import type { ChatMessage } from '../tokenizer/chat-template.ts';
import { KeptTurns } from './kept-turns.ts';

const tokenizer = scriptedModel(['']).requireTokenizer();
/** Calls are written with a space that the model does not write. */
const write = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) =>
  tokenizer.applyChatTemplate(
    messages.map((message) =>
      Array.isArray(message['tool_calls']) ? { ...message, content: `${message.content}call( {} )` } : message,
    ),
    { addGenerationPrompt },
  );
const ids = (text: string) => tokenizer.encode(text);
const user = (content: string): ChatMessage => ({ role: 'user', content });
const answer = (text: string, toolCalls: { id: string; name: string; arguments: string }[] = []) => ({
  text,
  reasoning: '',
  toolCalls,
  // not what encoding the text gives: two tokens that the vocabulary lacks stand for no text
  tokens: [0x110001, ...ids(text), 0x110002, ...ids(toolCalls.length > 0 ? 'call({})~' : '~')],
});
const odd = (all: readonly number[]) => all.filter((id) => id > 0x110000).length;

const tolerant = {
  ...tokenizer,
  decode: (all: readonly number[], options?: object) =>
    tokenizer.decode(
      all.filter((id) => id < 0x110000),
      options,
    ),
  stream: (options?: object) => {
    const inner = tokenizer.stream(options);
    return { push: (id: number) => (id < 0x110000 ? inner.push(id) : ''), finish: () => inner.finish() };
  },
};

function kept(messages: readonly ChatMessage[], result: ReturnType<typeof answer>, most?: number): KeptTurns {
  const turns = new KeptTurns(tolerant, most);
  const text = write(messages, true);
  turns.keep('', messages, text, turns.tokens('', messages, text, write), result);
  return turns;
}

test('the next turn begins with the tokens that were generated, and no other conversation or tenant does', () => {
  const turns = kept([user('hi')], answer('hello'));
  const next = [user('hi'), { role: 'assistant', content: 'hello' }, user('more')];
  const tokens = turns.tokens('', next, write(next, true), write);
  expect([odd(tokens), tolerant.decode(tokens)]).toEqual([2, write(next, true)]);
  expect(odd(turns.tokens('another', next, write(next, true), write))).toBe(0);
  const other = [user('hi'), { role: 'assistant', content: 'hellO' }, user('more')];
  expect(odd(turns.tokens('', other, write(other, true), write))).toBe(0);
});

test('a call that the template writes in other words goes on from the tokens too', () => {
  const call = { id: 'call_1', name: 'look', arguments: '{"a":1}' };
  const turns = kept([user('hi')], answer('so ', [call]));
  const said = (given: string) => ({
    role: 'assistant',
    content: 'so ',
    tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'look', arguments: given } }],
  });
  const next = (given: string) => [user('hi'), said(given), { role: 'tool', content: '7' }];
  const asked = next('{ "a": 1 }');
  const tokens = turns.tokens('', asked, write(asked, true), write);
  expect(odd(tokens)).toBe(2);
  expect(tolerant.decode(tokens)).toBe('<user>hi~<assistant>so call({})~<tool>7~<assistant>');
  // what the client has changed is another conversation
  const changed = next('{"a": 2}');
  expect(odd(turns.tokens('', changed, write(changed, true), write))).toBe(0);
});

test('what a template leaves out of earlier turns does not come back', () => {
  const turns = kept([user('hi')], { ...answer('hello'), reasoning: 'hm' });
  const next = [user('hi'), { role: 'assistant', content: 'hello', reasoning_content: 'hm' }, user('more')];
  const text = write(next, true).replace('<user>more', '<user>  more');
  expect(odd(turns.tokens('', next, text, (some) => write(some, false)))).toBe(2);
  // of a text that has more than the answer, the thought, the template keeps the answer alone
  const thinking = kept([user('hi')], { ...answer('hm|hello'), text: 'hello', reasoning: 'hm|' });
  expect(odd(thinking.tokens('', next, write(next, true), write))).toBe(0);
});

test('keeps no more tokens than it may', () => {
  const turns = kept([user('hi')], answer('hello'), 60);
  const messages = [user('another one')];
  const text = write(messages, true);
  turns.keep('', messages, text, ids(text), answer('there'));
  expect(turns.size).toBe(1);
  turns.keep('', messages, text, ids(text), answer('there'));
  expect(turns.size).toBe(1);
});

test('keeps as many tokens as it may, to the last', () => {
  const messages = [user('hi')];
  const count = ids(write(messages, true)).length + answer('hello').tokens.length;
  expect([count, count - 1].map((most) => kept(messages, answer('hello'), most).size)).toEqual([1, 0]);
});
