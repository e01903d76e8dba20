import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTokenizer } from '../../tokenizer.ts';
import { type CompiledGrammar, compileGrammar, type GrammarMatcher } from '../matcher.ts';
import { formatGrammar, type OutputFormat } from '../output-format.ts';
import { tokenTrie } from '../token-trie.ts';

const folder = fileURLToPath(new URL('../../../../../examples/models/prose4m/', import.meta.url));

/** The tokens of the model that comes with the repository: every byte, and 4,000 pieces of prose. */
export const vocabulary: readonly (Uint8Array | undefined)[] = createTokenizer(
  JSON.parse(readFileSync(`${folder}tokenizer.json`, 'utf8')) as object,
).tokenBytes();

const trie = tokenTrie(vocabulary);

export function compiled(format: OutputFormat): CompiledGrammar {
  return compileGrammar(formatGrammar(format), trie, vocabulary);
}

/** Numbers from 0 to 1, the same for a seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const closing = new Set([...'"]})'].map((character) => character.charCodeAt(0)));

/**
 * A text that a model without sense gives: any token that may come, and an end where there may be one; tokens that close
 * something are likelier, so that most texts end. Undefined where it has not ended after `most` tokens.
 */
export function randomText(format: OutputFormat, random: () => number, most = 150): string | undefined {
  return randomTextOf(compiled(format).matcher(), random, most);
}

export function randomTextOf(matcher: GrammarMatcher, random: () => number, most = 150): string | undefined {
  const tokens: number[] = [];
  for (let i = 0; i < most; i++) {
    const mask = new Uint32Array(Math.ceil(vocabulary.length / 32));
    matcher.addAllowed(mask);
    const allowed = [...vocabulary.keys()].filter((id) => (mask[id >> 5]! >>> (id & 31)) & 1);
    if (matcher.complete && (allowed.length === 0 || random() < 0.4)) return textOf(tokens);
    if (allowed.length === 0) throw new Error(`no token may come after ${JSON.stringify(textOf(tokens))}`);
    const ends = allowed.filter((id) => closing.has(vocabulary[id]![0]!));
    const from = ends.length > 0 && random() < 0.3 ? ends : allowed;
    const token = from[Math.floor(random() * from.length)]!;
    matcher.accept(token);
    tokens.push(token);
  }
  return undefined;
}

/** @throws TypeError where the bytes are no UTF-8 */
export function textOf(tokens: readonly number[]): string {
  const bytes = tokens.flatMap((id) => [...vocabulary[id]!]);
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
