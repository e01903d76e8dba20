import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isHeddleError } from '@heddle/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../../../test-support/properties.ts';
import { createTokenizer, loadTokenizer, type Tokenizer } from './tokenizer.ts';

/** A byte-fallback tokenizer of single characters, in the shape that Llama's has. */
const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const vocabulary = ['<unk>', '<s>', '</s>', ...bytes, '▁', 'a', 'b', '.', '▁a'];
const added = (id: number, content: string, special: boolean) => ({
  id,
  content,
  special,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});
const definition = {
  version: '1.0',
  added_tokens: [added(0, '<unk>', true), added(1, '<s>', true), added(2, '</s>', true), added(264, '<tool>', false)],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    merges: ['▁ a'],
  },
};
const settings = { bos_token: '<s>', eos_token: { content: '</s>' }, clean_up_tokenization_spaces: true };
const id = (token: string) => vocabulary.indexOf(token);
const small = createTokenizer(definition, settings);

describe('a small tokenizer', () => {
  test('its size and its special tokens', () => {
    expect(small.vocabularySize).toBe(265);
    expect([small.bosTokenId, small.eosTokenId]).toEqual([1, 2]);
    const plain = createTokenizer(definition);
    expect([plain.bosTokenId, plain.eosTokenId]).toEqual([undefined, undefined]);
  });

  test('encodes with and without special tokens, and what it has no token for as bytes', () => {
    expect(small.encode('a b')).toEqual([1, id('▁a'), id('▁'), id('b')]);
    expect(small.encode('b', { addSpecialTokens: false })).toEqual([id('▁'), id('b')]);
    expect(small.encode('é')).toEqual([1, id('▁'), id('<0xC3>'), id('<0xA9>')]);
    expect(small.encode('')).toEqual([1]);
  });

  test('decodes what the tokens spell, spaces before punctuation too', () => {
    expect(small.decode(small.encode('a b'), { skipSpecialTokens: true })).toBe('a b');
    expect(small.decode(small.encode('a .'))).toBe('<s> a .');
    expect(small.decode([id('▁a'), 264, 2], { skipSpecialTokens: true })).toBe('a<tool>');
    expect(small.decode([])).toBe('');
    expect(small.decode([1], { skipSpecialTokens: true })).toBe('');
    expect(small.decode([id('a'), 4000, id('b')])).toBe('ab');
  });

  test('ids that are none are errors', () => {
    for (const bad of [-1, 0.5, Number.NaN]) {
      expect(() => small.decode([bad])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
      expect(() => small.stream().push(bad)).toThrow(/non-negative integers/);
      expect(() => small.stream({ after: [bad] })).toThrow(/non-negative integers/);
    }
  });

  test('what is no text and no list of ids is refused', () => {
    expect(() => small.encode(undefined as unknown as string)).toThrow('encode: takes a string, got undefined');
    expect(() => small.encode(7 as unknown as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => small.decode(undefined as unknown as number[])).toThrow(
      'decode: takes a list of token ids, got undefined',
    );
  });

  test('misspelt options are refused', () => {
    const wrong = { special: true } as never;
    expect(() => small.encode('a', wrong)).toThrow('encode: has no option special; its options are addSpecialTokens');
    expect(() => small.decode([1], wrong)).toThrow('decode: has no option special');
    expect(() => small.stream(wrong)).toThrow('stream: has no option special');
  });

  test('an unknown token that is itself unknown is an error', () => {
    const model = { ...definition.model, byte_fallback: false, unk_token: '<nowhere>' };
    const strict = createTokenizer({ ...definition, model });
    expect(() => strict.encode('é')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => strict.encode('é')).toThrow('tokenizer.json has neither "<nowhere>" nor an unknown token');
  });
});

function streamed(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const stream = tokenizer.stream({ skipSpecialTokens });
  return ids.map((token) => stream.push(token)).join('') + stream.finish();
}

test('streamed text is the decoded text, for any ids', () => {
  const token = fc.oneof(fc.nat(264), fc.constantFrom(1, 2, 300, id('▁'), id('▁a'), id('<0xF0>'), id('<0x9F>')));
  fc.assert(
    fc.property(fc.array(token, { maxLength: 60 }), fc.boolean(), (ids, skipSpecialTokens) => {
      expect(streamed(small, ids, skipSpecialTokens)).toBe(small.decode(ids, { skipSpecialTokens }));
    }),
    runs(500),
  );
});

test('a special token that is skipped does not cost the space after it', () => {
  expect(streamed(small, [id('▁a'), 2, 1, id('▁a')], true)).toBe('a a');
  const after = small.stream({ skipSpecialTokens: true, after: [1, id('▁a'), 2] });
  expect(after.push(id('▁a'))).toBe(' a');
});

describe('loading', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'heddle-tokenizer-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const folderOf = async (name: string, files: Record<string, string>) => {
    const path = join(folder, name);
    await mkdir(path);
    for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
    return path;
  };

  test('from a folder, with and without its settings', async () => {
    const path = await folderOf('with', {
      'tokenizer.json': JSON.stringify(definition),
      'tokenizer_config.json': JSON.stringify(settings),
    });
    expect((await loadTokenizer(path)).tokenizer?.eosTokenId).toBe(2);
    const bare = await folderOf('bare', { 'tokenizer.json': JSON.stringify(definition) });
    expect((await loadTokenizer(bare)).tokenizer?.encode('a')).toEqual([1, id('▁a')]);
  });

  test('no tokenizer is no error, and says why', async () => {
    const path = await folderOf('none', {});
    expect(await loadTokenizer(path)).toEqual({ tokenizer: undefined, reason: `${path} has no tokenizer.json` });
  });

  test('a tokenizer that cannot be understood is one', async () => {
    const files = [
      { 'tokenizer.json': '{' },
      { 'tokenizer.json': 'null' },
      { 'tokenizer.json': '{}' },
      { 'tokenizer.json': JSON.stringify({ ...definition, decoder: { type: 'Novel' } }) },
      { 'tokenizer.json': JSON.stringify(definition), 'tokenizer_config.json': '[' },
    ];
    for (const [i, content] of files.entries()) {
      const error = await loadTokenizer(await folderOf(`bad${i}`, content)).catch((thrown: unknown) => thrown);
      expect(isHeddleError(error, 'ERR_TOKENIZER'), String(error)).toBe(true);
      expect((error as Error).message).toContain('.json: ');
    }
  });
});

const model = '../shared/models/stories260K';
describe.skipIf(!existsSync(model))(`a real tokenizer (needs ${model})`, () => {
  interface Golden {
    readonly prompt: number[];
    readonly tokens: number[];
    readonly text: string;
  }
  const read = (): [string, Golden][] =>
    Object.entries(JSON.parse(readFileSync(`${model}/golden-greedy.json`, 'utf8')));

  test('prompts encode to the ids and continuations decode to the text that transformers gives', async () => {
    const { tokenizer } = await loadTokenizer(model);
    expect(read().length).toBe(3);
    for (const [prompt, golden] of read()) {
      expect(tokenizer!.encode(prompt)).toEqual(golden.prompt);
      const all = [...golden.prompt, ...golden.tokens];
      expect(tokenizer!.decode(all, { skipSpecialTokens: true })).toBe(golden.text);
      expect(streamed(tokenizer!, all, true)).toBe(golden.text);
      const stream = tokenizer!.stream({ skipSpecialTokens: true, after: golden.prompt });
      const rest = golden.tokens.map((token) => stream.push(token)).join('') + stream.finish();
      expect(prompt + rest).toBe(golden.text);
    }
    expect([tokenizer!.vocabularySize, tokenizer!.bosTokenId, tokenizer!.eosTokenId]).toEqual([512, 1, 2]);
  });
});
