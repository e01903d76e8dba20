import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createTokenizer } from '../tokenizer.ts';
import { tokenBytes } from './token-bytes.ts';

const file = fileURLToPath(new URL('../../../../examples/models/prose4m/tokenizer.json', import.meta.url));
const prose = createTokenizer(JSON.parse(readFileSync(file, 'utf8')) as object);
const text = (bytes: readonly (Uint8Array | undefined)[]) =>
  bytes.map((each) => (each ? new TextDecoder().decode(each) : undefined));

describe('bytes of tokens', () => {
  it.each(['It was a cold evening.', 'naïve — 日本語 😀\n\ttab', ' \u0000\u007f\u0080'])(
    'of a text are the bytes of the text: %j',
    (of) => {
      const bytes = prose.tokenBytes();
      const joined = prose.encode(of, { addSpecialTokens: false }).flatMap((id) => [...bytes[id]!]);
      expect(Uint8Array.from(joined)).toEqual(new TextEncoder().encode(of));
    },
  );

  it('tokens that end texts have none', () => {
    expect(prose.tokenBytes()[prose.eosTokenId ?? 0]).toBeUndefined();
    expect(prose.tokenBytes()).toHaveLength(prose.vocabularySize);
  });

  it('tokens with a mark for spaces, and tokens of one byte', () => {
    const decoder = {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    };
    const vocabulary = [
      ['▁the', 0],
      ['<0xE2>', 1],
      ['<s>', 2],
      ['</s>', 3],
      ['a▁b', 5],
    ] as const;
    const added = [
      [2, { content: '<s>', special: true }],
      [3, { content: '<tool>', special: false }],
    ] as const;
    const bytes = tokenBytes({ decoder }, vocabulary, added);
    expect(bytes[1]).toEqual(Uint8Array.of(0xe2));
    expect(text([bytes[0], bytes[2], bytes[3], bytes[4], bytes[5]])).toEqual([
      ' the',
      undefined,
      '<tool>',
      undefined,
      'a b',
    ]);
  });

  it('Metaspace marks spaces as it says; without a decoder tokens are their texts', () => {
    expect(text(tokenBytes({ decoder: { type: 'Metaspace', replacement: '_' } }, [['_a', 0]], []))).toEqual([' a']);
    expect(text(tokenBytes({ decoder: null }, [['▁a', 0]], []))).toEqual(['▁a']);
  });
});
