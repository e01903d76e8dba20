import { trainBytePair } from '@heddle/trainer/bpe';
import { expect, test } from 'vitest';
import { createTokenizer } from '../tokenizer.ts';

test('a tokenizer that was trained here reads every text, and splits what it learned from into fewer tokens', () => {
  const text = 'The rain fell on the plain, and the plain took the rain.\r\n\r\n  It’s naïve: 雨 ☔\u00a0\t!';
  const trained = trainBytePair([text], { vocabularySize: 330, specialTokens: ['<|end|>'], beginToken: '<|end|>' });
  const tokenizer = createTokenizer(JSON.parse(JSON.stringify(trained)) as object, { bos_token: '<|end|>' });
  expect(tokenizer.vocabularySize).toBe(trained.vocabulary.size);
  expect(tokenizer.bosTokenId).toBe(0);
  const ids = tokenizer.encode(text);
  expect(ids[0]).toBe(0);
  expect(ids.length).toBeLessThan(Buffer.byteLength(text) / 2);
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(text);
  for (const other of ['', '\u0000\u0001', '🧵 threads', 'a<|end|>b'])
    expect(tokenizer.decode(tokenizer.encode(other, { addSpecialTokens: false }))).toBe(other);
});
