import { expect, test } from 'vitest';
import { needShared, needSharedJson } from '../../../../test-support/shared.ts';
import { trainBytePair } from '../bpe.ts';

const folder = 'fixtures/tokenizers';

test('learns the merges and the vocabulary that another implementation learned', async (context) => {
  const decoder = new TextDecoder();
  const corpus = decoder.decode(await needShared(context, `${folder}/corpus.en`));
  const merges = decoder.decode(await needShared(context, `${folder}/train-bpe-reference-merges.txt`));
  const vocabulary = await needSharedJson(context, `${folder}/train-bpe-reference-vocab.json`);
  const tokenizer = trainBytePair([corpus], { vocabularySize: 500, specialTokens: ['<|endoftext|>'] });
  expect(tokenizer.merges.map((pair) => pair.join(' '))).toEqual(merges.trimEnd().split('\n'));
  expect(Object.fromEntries(tokenizer.vocabulary)).toEqual(vocabulary);
});

const learned = (texts: Iterable<string>, merges: number, specialTokens: readonly string[] = []) =>
  trainBytePair(texts, { vocabularySize: 256 + specialTokens.length + merges, specialTokens }).merges;

test('merges the most frequent pair first, and the one with the greater bytes of equally frequent ones', () => {
  // 'lo' and 'ow' four times each; then 'low' four times
  expect(learned(['low low low low'], 3)).toEqual([
    ['o', 'w'],
    ['l', 'ow'],
    ['Ġ', 'low'],
  ]);
  expect(learned(['ab ab ab', ' cd cd cd'], 1)).toEqual([['c', 'd']]);
});

test('counts neighbours that overlap once they are merged', () => {
  expect(learned(['aaaa'], 2)).toEqual([
    ['a', 'a'],
    ['aa', 'aa'],
  ]);
  expect(learned(['aaaaa'], 3)).toEqual([
    ['a', 'a'],
    ['aa', 'aa'],
    ['aaaa', 'a'],
  ]);
});

test('no token reaches across words, texts or special tokens', () => {
  expect(learned(['ab', 'ab<|x|>ab'], 10, ['<|x|>'])).toEqual([['a', 'b']]);
  expect(learned(['a b a b'], 10)).toEqual([
    ['Ġ', 'b'],
    ['Ġ', 'a'],
  ]);
  // of special tokens that begin alike the longer one counts
  expect(learned(['ab<s><s>>ab'], 10, ['<s>', '<s>>'])).toEqual([['a', 'b']]);
});

test('special tokens have the lowest ids, then the bytes, then the merges; no text is beyond it', () => {
  const { vocabulary } = trainBytePair(['né né'], { vocabularySize: 260, specialTokens: ['<|a|>', '<|b|>'] });
  expect([...vocabulary.keys()].slice(0, 4)).toEqual(['<|a|>', '<|b|>', '!', '"']);
  expect(vocabulary.size).toBe(260);
  expect(new Set(vocabulary.values()).size).toBe(260);
  expect([...vocabulary.keys()].slice(258)).toEqual(['Ã©', 'nÃ©']);
});

test('gives fewer tokens where there is nothing more to merge', () => {
  expect(learned([], 5)).toEqual([]);
  expect(learned(['ab'], 5)).toEqual([['a', 'b']]);
});

test('refuses what it cannot make', () => {
  const train = (options: object, texts: unknown = []) =>
    trainBytePair(texts as string[], { vocabularySize: 300, ...options });
  expect(() => train({ vocabularySize: 256, specialTokens: ['a'] })).toThrow(/from 257 .* got 256/);
  expect(() => train({ vocabularySize: 300.5 })).toThrow(/whole number/);
  expect(() => train({ specialTokens: ['a', 'a'] })).toThrow(/different texts/);
  expect(() => train({ specialTokens: [''] })).toThrow(/different texts/);
  expect(() => train({ beginToken: '<s>' })).toThrow(/beginToken must be one of .* got "<s>"/);
  expect(() => train({}, 'a text')).toThrow(/iterable of strings, got string/);
  expect(() => train({}, null)).toThrow(/iterable of strings, got object/);
  expect(() => train({}, [1])).toThrow(/iterable of strings, got number/);
});
