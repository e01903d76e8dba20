import { ArgumentError } from '@heddle/tensor';

/** What GPT-2 splits a text into before it merges: contractions, words, numbers and punctuation with the space before them, white space. */
const words = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/**
 * How often each word occurs in the texts. A word never reaches across a special token, nor across two texts; special tokens
 * themselves are not counted.
 */
export function countWords(texts: Iterable<string>, specialTokens: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  const longestFirst = [...specialTokens].sort((a, b) => b.length - a.length);
  const special = specialTokens.length > 0 ? new RegExp(longestFirst.map(escaped).join('|'), 'u') : undefined;
  for (const text of texts) {
    if (typeof text !== 'string')
      throw new ArgumentError(`trainBytePair: texts must be an iterable of strings, got ${typeof text}`);
    for (const part of special ? text.split(special) : [text])
      for (const [word] of part.matchAll(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
