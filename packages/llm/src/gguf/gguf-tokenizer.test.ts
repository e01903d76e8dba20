import { expect, test } from 'vitest';
import { writeGguf } from '../../../../test-support/gguf-writer.ts';
import { needShared } from '../../../../test-support/shared.ts';
import { openGguf } from './gguf-file.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';

test.for(['gpt-2', 'llama-spm', 'phi-3'])('%s: the ids of llama.cpp for all of its cases', async (name, context) => {
  const path = `fixtures/tokenizers/ggml-vocab-${name}.gguf`;
  const file = await openGguf(await needShared(context, path));
  const { tokenizer, reason } = ggufTokenizer(file);
  if (!tokenizer) throw new Error(reason);
  const read = async (end: string) => new TextDecoder().decode(await needShared(context, `${path}.${end}`));
  const texts = (await read('inp')).split('\n__ggml_vocab_test__\n').slice(0, -1);
  const ids = (await read('out')).trimEnd().split('\n');
  expect(texts.length).toBe(46);
  texts.forEach((text, i) => {
    const right = (ids[i] ?? '').split(' ').filter(Boolean).map(Number);
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(right);
  });
  await file.close();
});

const tokens = ['<unk>', '<s>', '</s>', '▁', 'a', 'b', '▁a', '▁ab', '<tool>'];
const spm = {
  'tokenizer.ggml.model': ['string', 'llama'],
  'tokenizer.ggml.tokens': ['strings', tokens],
  'tokenizer.ggml.scores': ['f32s', [0, 0, 0, -3, -4, -5, -1, -2, 0]],
  'tokenizer.ggml.token_type': ['i32s', [2, 3, 3, 1, 1, 1, 1, 1, 4]],
  'tokenizer.ggml.eos_token_id': ['u32', 2],
} as const;
const tokenizerOf = async (metadata: Parameters<typeof writeGguf>[0]) =>
  ggufTokenizer(await openGguf(writeGguf(metadata, {}), 'x.gguf'));

test('special tokens, what stands around a text, and chat templates', async () => {
  const { tokenizer } = await tokenizerOf({
    ...spm,
    'tokenizer.chat_template': ['string', '{{ eos_token }}{{ messages[0].content }}'],
  });
  expect(tokenizer).toMatchObject({ vocabularySize: 9, eosTokenId: 2 });
  expect(tokenizer!.encode('ab a<tool>b')).toEqual([1, 7, 6, 8, 3, 5]);
  expect(tokenizer!.decode([1, 7, 6, 8, 5], { skipSpecialTokens: true })).toBe('ab a<tool>b');
  expect(tokenizer!.applyChatTemplate([{ role: 'user', content: 'hi' }])).toBe('</s>hi');
  const bare = await tokenizerOf({
    ...spm,
    'tokenizer.ggml.add_bos_token': ['bool', false],
    'tokenizer.ggml.add_eos_token': ['bool', true],
    'tokenizer.ggml.add_space_prefix': ['bool', false],
  });
  expect(bare.tokenizer!.encode('a a')).toEqual([4, 6, 2]);
  expect(bare.tokenizer!.decode([4, 6])).toBe('a a');
});

test('what has none, is of another kind or does not fit', async () => {
  expect((await tokenizerOf({})).reason).toBe('x.gguf has no tokenizer');
  expect((await tokenizerOf({ ...spm, 'tokenizer.ggml.model': ['string', 'bert'] })).reason).toMatch(
    /kind bert: llama and gpt2 are read/,
  );
  expect((await tokenizerOf({ ...spm, 'tokenizer.ggml.model': ['string', 'gpt2'] })).reason).toMatch(
    /splits texts by default: gpt-2/,
  );
  for (const [change, message] of [
    [{ 'tokenizer.ggml.scores': ['f32s', [1]] }, /tokenizer\.ggml\.scores: expected 9 scores, got a list of 1/],
    [{ 'tokenizer.ggml.tokens': ['strings', ['a', 'a']] }, /1 tokens occur twice/],
    [{ 'tokenizer.ggml.tokens': ['f32s', [1]] }, /tokenizer\.ggml\.tokens: expected a list of strings/],
    [{ 'tokenizer.ggml.bos_token_id': ['u32', 99] }, /bos_token_id: expected an id below 9, got 99/],
    [
      { 'tokenizer.ggml.model': ['string', 'gpt2'], 'tokenizer.ggml.pre': ['string', 'gpt-2'] },
      /merges: expected a list of merges, got nothing/,
    ],
  ] as const)
    await expect(tokenizerOf({ ...spm, ...change })).rejects.toThrow(message);
});
