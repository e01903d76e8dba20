import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { trainBytePair } from '../bpe.ts';
import { encodeExample, type TokenExample } from './encode-examples.ts';
import { exampleBatches } from './example-batches.ts';
import type { TextExample } from './json-lines.ts';
import { tokenBatches } from './token-batches.ts';
import { tokenArray } from './token-source.ts';

const digest = (value: unknown): string => {
  const text = JSON.stringify(value, (_, part: unknown) =>
    ArrayBuffer.isView(part) ? Array.from(part as Int32Array) : part,
  );
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
};

/** The first batches of a stream, each with where it stands behind it. */
async function firstOf(stream: AsyncIterable<unknown> & { readonly cursor: unknown }, count: number): Promise<string> {
  const found: unknown[] = [stream.cursor];
  for await (const batch of stream) {
    found.push(batch, stream.cursor);
    if (found.length > 2 * count) break;
  }
  return `${(found.length - 1) / 2} batches, ${JSON.stringify(stream.cursor)}, ${digest(found)}`;
}

const tokens = tokenArray(Array.from({ length: 103 }, (_, i) => (i * 37) % 101));
const examples: readonly TokenExample[] = Array.from({ length: 17 }, (_, i) => {
  const length = 2 + ((i * 5) % 11);
  return {
    tokens: Int32Array.from({ length }, (_, j) => 10 * i + j),
    learned: Uint8Array.from({ length }, (_, j) => Number(j > length - 1 - (i % 4) || j === length - 1)),
  };
});

const encoder = {
  encode: (text: string) => Array.from(text, (character) => character.charCodeAt(0)),
  startToken: 1,
  endToken: 2,
  renderChat: (messages: readonly { readonly role: string; readonly content: string }[], answer: boolean) =>
    messages.map(({ role, content }) => `<${role}>${content};`).join('') + (answer ? '<assistant>' : ''),
};
const texts: readonly TextExample[] = [
  { text: 'one two' },
  { prompt: 'ask', completion: 'answer' },
  {
    messages: [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'c' },
      { role: 'assistant', content: 'd' },
      { role: 'user', content: 'not answered' },
    ],
  },
];

/** A text of made-up words, some of them much more frequent than others. */
const prose = Array.from({ length: 900 }, (_, i) => {
  const word = ['lo', 'low', 'lower', 'new', 'newest', 'wide', "it's", '42', 'naïve', 'ö', '  two', '!?', '<end>'];
  return word[(i * i + 3 * i) % (i % 7 === 0 ? word.length : 5)]!;
}).join(' ');

describe('the same data', () => {
  // what is meant to change is written anew by `npx vitest run -u`
  it('comes in the order, rows and tokens of before', async () => {
    const lines: string[] = [];
    for (const seed of [0, 7])
      for (const options of [
        { rows: 3, length: 8 },
        { rows: 4, length: 5, shuffle: false, epochs: 2 },
        { rows: 5, length: 17, epochs: 2, dropLast: true },
        { rows: 2, length: 9, cursor: { seed, epoch: 1, place: 3 }, epochs: 2 },
      ])
        lines.push(
          `tokens ${JSON.stringify({ seed, ...options })}: ${await firstOf(tokenBatches(tokens, { seed, ...options }), 12)}`,
        );
    for (const options of [
      { rows: 2, length: 12 },
      { rows: 2, length: 12, pack: false, padToken: 5, epochs: 2 },
      { rows: 3, length: 7, tooLong: 'skip' as const, epochs: 1, dropLast: true },
      { rows: 3, length: 7, tooLong: 'truncate' as const, epochs: 2, shuffle: false },
    ])
      lines.push(`examples ${JSON.stringify(options)}: ${await firstOf(exampleBatches(examples, options), 9)}`);
    for (const text of texts) {
      const { tokens: ids, learned } = encodeExample(text, encoder);
      lines.push(`${Object.keys(text)}: ${ids.join(' ')}, learned ${learned.join('')}`);
    }
    for (const specialTokens of [[], ['<end>', '<e']]) {
      const { merges, toJSON } = trainBytePair([prose, 'lower lower'], { vocabularySize: 300, specialTokens });
      lines.push(`merges: ${merges.map((pair) => pair.join('+')).join(' ')}, ${digest(toJSON())}`);
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-data.txt');
  });
});
