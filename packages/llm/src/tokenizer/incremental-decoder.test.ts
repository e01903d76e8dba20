import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { incrementalDecoder } from './incremental-decoder.ts';

/** A decoder over tokens that are bytes or texts, which drops the space that a text begins with as Llama's does. */
type Token = number | string;

function decoderOf(vocabulary: readonly Token[]): (ids: readonly number[]) => string {
  const encoder = new TextEncoder();
  return (ids) => {
    const bytes = ids.flatMap((id) => {
      const token = vocabulary[id]!;
      return typeof token === 'number' ? [token] : [...encoder.encode(token)];
    });
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    return text.startsWith(' ') ? text.slice(1) : text;
  };
}

const bytes = Array.from({ length: 256 }, (_, byte) => byte);

function pieces(decode: (ids: readonly number[]) => string, ids: readonly number[]): string[] {
  const stream = incrementalDecoder(decode);
  return [...ids.map((id) => stream.push(id)), stream.finish()];
}

test('a character is given when its last byte is there', () => {
  const ids = [...new TextEncoder().encode('aé😀b')];
  expect(pieces(decoderOf(bytes), ids)).toEqual(['a', '', 'é', '', '', '', '😀', 'b', '']);
});

test('bytes that are no character: known to be wrong, or cut off by the end', () => {
  const decode = decoderOf(bytes);
  expect(pieces(decode, [0xf0, 0x9f, 0x41])).toEqual(['', '', '\ufffdA', '']);
  expect(pieces(decode, [0xff, 0xff, 0x41])).toEqual(['', '\ufffd', '\ufffdA', '']);
  expect(pieces(decode, [0x41, 0xf0, 0x9f])).toEqual(['A', '', '', '\ufffd']);
});

describe('joined, the pieces are the full text, and each is whole characters', () => {
  const check = (vocabulary: readonly Token[], ids: readonly number[]) => {
    const decode = decoderOf(vocabulary);
    const given = pieces(decode, ids);
    expect(given.join('')).toBe(decode(ids));
    // A half of a surrogate pair would not survive UTF-8.
    for (const piece of given)
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(piece))).toBe(piece);
  };

  test('random bytes, most of them no characters', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { maxLength: 80 }), (ids) => check(bytes, ids)),
      runs(500),
    );
    const tricky = fc.constantFrom(0xf0, 0x9f, 0x98, 0x80, 0xe2, 0x82, 0xac, 0xc3, 0xff, 0xed, 0xa0, 0x20, 0x41);
    fc.assert(
      fc.property(fc.array(tricky, { maxLength: 80 }), (ids) => check(bytes, ids)),
      runs(1000),
    );
  });

  test('text in bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        check(bytes, [...new TextEncoder().encode(text)]);
      }),
      runs(100),
    );
  });

  test('tokens of text, of spaces, of nothing and of bytes', () => {
    const vocabulary: Token[] = [' ', '', ' the', 'a', '  ', 'é', '\ufffd', '😀 ', 0xf0, 0x9f, 0x98, 0x80];
    const token = fc.nat(vocabulary.length - 1);
    // The tokens that are decoded with the next one allow for every other one to stand for nothing.
    const few = fc.array(token, { maxLength: 80 }).filter((ids) => !/\b1,1\b/.test(ids.join()));
    fc.assert(
      fc.property(few, (ids) => check(vocabulary, ids)),
      runs(1000),
    );
  });
});

test('a stream that continues tokens keeps the space between, and completes a character that they began', () => {
  const vocabulary: Token[] = [' Once', ' upon', 0xc3, 0xa9];
  const decode = decoderOf(vocabulary);
  expect(pieces(decode, [1])).toEqual(['upon', '']);
  const stream = incrementalDecoder(decode, [0]);
  expect(stream.push(1)).toBe(' upon');
  const split = incrementalDecoder(decode, [0, 2]);
  expect([split.push(3), split.finish()]).toEqual(['é', '']);
});

test('after the end it starts anew', () => {
  const stream = incrementalDecoder(decoderOf([' a']));
  expect([stream.push(0), stream.push(0), stream.finish()]).toEqual(['a', ' a', '']);
  expect(stream.push(0)).toBe('a');
});

test('the work for a token does not grow with the stream', () => {
  let decoded = 0;
  const decode = decoderOf(bytes);
  const stream = incrementalDecoder((ids) => {
    decoded += ids.length;
    return decode(ids);
  });
  // 0xff is never complete: the worst case for a decoder that waits for whole characters.
  for (let i = 0; i < 5000; i++) stream.push(i % 3 === 0 ? 0x41 : 0xff);
  for (let i = 0; i < 5000; i++) stream.push(0xff);
  expect(decoded / 10_000).toBeLessThan(16);
});
