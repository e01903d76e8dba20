import { expect, test } from 'vitest';
import { createTokenizer } from '../tokenizer.ts';

const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const characters = [...'abcdef0123456789.,-é'];
const base = ['<unk>', ...characters, '▁', '\ufeff', '\u0085', ' '];
const bpe = (tokens: readonly string[], more: object = {}) => ({
  type: 'BPE',
  unk_token: '<unk>',
  fuse_unk: false,
  byte_fallback: false,
  merges: [],
  vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
  ...more,
});
const added = (index: number, content: string, more: object = {}) => ({
  id: base.length + index,
  content,
  special: false,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  ...more,
});
const plainAndNormalized = [added(0, '[T]'), added(1, '[N]', { normalized: true })];
const metaspace = (prepend_scheme: string, split = true) => ({
  type: 'Metaspace',
  replacement: '▁',
  prepend_scheme,
  split,
});
const spaces = {
  type: 'Sequence',
  normalizers: [
    { type: 'Prepend', prepend: '▁' },
    { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
  ],
};
const spelled = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};
const definition = (parts: object) => ({
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: bpe(base),
  ...parts,
});

type Row = readonly [text: string, ids: readonly number[], decoded?: string];

/** Ids and texts are those of Python's tokenizers 0.22.2. */
const cases: readonly (readonly [string, object, readonly Row[]])[] = [
  [
    'byte order marks of byte fallback are text',
    {
      model: bpe(['<unk>', ...bytes, ...characters, '▁'], { byte_fallback: true }),
      normalizer: spaces,
      decoder: spelled,
    },
    [
      ['\ufeffa', [277, 240, 188, 192, 257], '\ufeffa'],
      ['a\ufeff\ufeffb', [277, 257, 240, 188, 192, 240, 188, 192, 258], 'a\ufeff\ufeffb'],
      ['é\ufeff', [277, 276, 240, 188, 192], 'é\ufeff'],
    ],
  ],
  [
    'Strip is of Unicode white space',
    { normalizer: { type: 'Strip', strip_left: true, strip_right: true } },
    [
      ['\ufeffa\ufeff', [22, 1, 22]],
      ['\u0085 a \u0085', [1]],
      [' a\ufeff ', [1, 22]],
    ],
  ],
  [
    'Strip on the left',
    { normalizer: { type: 'Strip', strip_left: true, strip_right: false } },
    [
      ['\u0085 a \u0085', [1, 24, 23]],
      ['\ufeff a', [22, 24, 1]],
    ],
  ],
  [
    'single words stand alone',
    { added_tokens: [added(0, 'abc', { single_word: true })] },
    [
      ['abc', [25]],
      ['abcd', [1, 2, 3, 4]],
      ['dabc', [4, 1, 2, 3]],
      ['abc.', [25, 17]],
      ['.abc', [17, 25]],
      [' abc ', [24, 25, 24]],
      ['éabc', [20, 1, 2, 3]],
      ['abcabc', [1, 2, 3, 1, 2, 3]],
      ['abc abc', [25, 24, 25]],
      ['a-abc-b', [1, 19, 25, 19, 2]],
    ],
  ],
  [
    'white space that added tokens take',
    {
      added_tokens: [
        added(0, '[L]', { lstrip: true }),
        added(1, '[R]', { rstrip: true }),
        added(2, '[B]', { lstrip: true, rstrip: true }),
      ],
    },
    [
      ['a [L] b', [1, 25, 24, 2]],
      ['a [R] b', [1, 24, 26, 2]],
      ['a  [B]  b', [1, 27, 2]],
      ['[B] a', [27, 1]],
      ['a [B]', [1, 27]],
      ['a\ufeff[L]', [1, 22, 25]],
      ['a\u0085[L]\u0085b', [1, 25, 23, 2]],
      ['[R]\u0085 a', [26, 1]],
      ['[R][L]', [26, 25]],
      [' [R] [L] ', [24, 26, 25, 24]],
    ],
  ],
  [
    'Metaspace first, after digits',
    {
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [{ type: 'Digits', individual_digits: true }, metaspace('first')],
      },
    },
    [
      ['a1b', [21, 1, 8, 2]],
      ['1a', [21, 8, 1]],
      ['a 12 b', [21, 1, 21, 8, 9, 21, 2]],
      ['', []],
    ],
  ],
  [
    'Metaspace first, after added tokens',
    { added_tokens: plainAndNormalized, pre_tokenizer: metaspace('first') },
    [
      ['[T]a', [25, 1]],
      ['a[T]b', [21, 1, 25, 2]],
      ['[N]a', [26, 1]],
      ['a[N]b', [21, 1, 26, 2]],
      ['[T] a', [25, 21, 1]],
      ['a [N] b', [21, 1, 21, 26, 21, 2]],
      ['[T]a[N]b', [25, 1, 26, 2]],
    ],
  ],
  [
    'Metaspace always, after added tokens',
    { added_tokens: plainAndNormalized, pre_tokenizer: metaspace('always') },
    [
      ['[T]a', [25, 21, 1]],
      ['a[T]b', [21, 1, 25, 21, 2]],
      ['[N]a', [26, 21, 1]],
      ['a[N]b', [21, 1, 26, 21, 2]],
    ],
  ],
  [
    'Metaspace splits before words',
    {
      model: bpe([...base, '▁a', '▁b', '▁a▁b', 'a▁'], {
        ignore_merges: true,
        merges: [
          ['▁', 'a'],
          ['▁', 'b'],
          ['a', '▁'],
        ],
      }),
      pre_tokenizer: metaspace('always'),
    },
    [
      ['a b', [25, 26]],
      ['a  b', [25, 21, 26]],
      ['aa b', [25, 1, 26]],
    ],
  ],
  [
    'Metaspace that does not split',
    {
      model: bpe([...base, '▁a', '▁b', '▁a▁b'], {
        ignore_merges: true,
        merges: [
          ['▁', 'a'],
          ['▁', 'b'],
          ['▁a', '▁b'],
        ],
      }),
      pre_tokenizer: metaspace('always', false),
    },
    [
      ['a b', [27]],
      ['a  b', [25, 21, 26]],
      ['aa b', [25, 1, 26]],
    ],
  ],
  [
    'Whitespace splits words of any script',
    { model: bpe([...base, 'é.'], { merges: [['é', '.']] }), pre_tokenizer: { type: 'Whitespace' } },
    [
      ['é.a', [20, 17, 1]],
      ['aé é', [1, 20, 20]],
      ['a\ufeffb', [1, 22, 2]],
      ['a\u0085b', [1, 2]],
    ],
  ],
  [
    'WhitespaceSplit',
    { model: bpe([...base, 'a\ufeff'], { merges: [['a', '\ufeff']] }), pre_tokenizer: { type: 'WhitespaceSplit' } },
    [
      ['a\ufeffb', [25, 2]],
      ['a\u0085b', [1, 2]],
      ['a b', [1, 2]],
    ],
  ],
  [
    'normalized tokens under Prepend and Replace',
    { added_tokens: [added(0, '[N]', { normalized: true })], normalizer: spaces, decoder: spelled },
    [
      ['a [N] b', [21, 1, 25, 21, 2], 'a[N] b'],
      ['a[N]b', [21, 1, 0, 0, 0, 2], 'a<unk><unk><unk>b'],
      ['[N] a', [25, 21, 1], '[N] a'],
      ['[N]', [25], '[N]'],
    ],
  ],
];

test.each(cases)('%s', (_name, parts, rows) => {
  const tokenizer = createTokenizer(definition(parts));
  for (const [text, ids, decoded] of rows) {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
    if (decoded !== undefined) expect(tokenizer.decode(ids)).toBe(decoded);
  }
});

test('a byte order mark comes through a stream, too', () => {
  const [, parts, rows] = cases[0]!;
  const tokenizer = createTokenizer(definition(parts));
  for (const [, ids, decoded] of rows) {
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id)).join('') + stream.finish()).toBe(decoded);
  }
});

test('tokens that stand in the settings alone are tokens', () => {
  const settings = { added_tokens_decoder: { [base.length]: { content: '[S]', special: true }, 1: { content: 'a' } } };
  const tokenizer = createTokenizer(definition({}), settings);
  expect(tokenizer.encode('a[S]b')).toEqual([1, base.length, 2]);
  expect(tokenizer.decode([1, base.length], { skipSpecialTokens: true })).toBe('a');
  expect(tokenizer.vocabularySize).toBe(base.length + 1);
});

test('a long text is encoded at once', () => {
  const tokenizer = createTokenizer(definition({ model: bpe(base), pre_tokenizer: { type: 'WhitespaceSplit' } }));
  const ids = tokenizer.encode('a b '.repeat(150_000));
  expect([ids.length, ids[0], ids.at(-1)]).toEqual([300_000, base.indexOf('a'), base.indexOf('b')]);
});
