import { bytesWithMarkers } from '../../grammar/markers.ts';
import type { IncrementalDecoder } from '../../tokenizer/incremental-decoder.ts';
import type { Tokenizer } from '../../tokenizer.ts';
import type { AnswerFormat } from './answer-format.ts';
import { tokenId } from './standard-formats.ts';

type Tokens = ReadonlyMap<number, string>;

/** The special tokens that a format names, by id, with what they are in an answer. */
export function answerTokens(tokenizer: Tokenizer, { tokens }: AnswerFormat): Tokens {
  const bytes = tokenizer.tokenBytes();
  const found = new Map<number, string>();
  for (const [name, as] of Object.entries(tokens)) {
    const id = tokenId(tokenizer, name);
    // one that is text already needs no help, unless it is to be a marker
    if (id !== undefined && (bytes[id] === undefined || as !== name)) found.set(id, as);
  }
  return found;
}

/**
 * The bytes of each token, for grammars: the format's special tokens have those of what they are in an answer. Bytes that no text
 * has are left to markers.
 */
export function answerVocabulary(tokenizer: Tokenizer, format: AnswerFormat): readonly (Uint8Array | undefined)[] {
  const bytes = tokenizer.tokenBytes().map((each) => (each?.some((byte) => byte >= 0xf8) ? undefined : each));
  for (const [id, as] of answerTokens(tokenizer, format)) bytes[id] = Uint8Array.from(bytesWithMarkers(as));
  return bytes;
}

/** Decodes an answer: without special tokens, but for those of the format. */
export function answerDecoder(tokenizer: Tokenizer, tokens: Tokens, after: readonly number[]): IncrementalDecoder {
  const decoder = tokenizer.stream({ after, skipSpecialTokens: true });
  return {
    push: (id) => {
      const as = tokens.get(id);
      return as === undefined ? decoder.push(id) : decoder.finish() + as;
    },
    finish: () => decoder.finish(),
  };
}
