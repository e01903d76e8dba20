import { PairHeap } from './pair-heap.ts';

/** A word as the tokens that it is made of so far, and how often it occurs. */
export interface Word {
  tokens: number[];
  readonly count: number;
}

interface Pair {
  readonly first: number;
  readonly second: number;
  count: number;
  /** Indices of words that had the pair at some time. */
  readonly words: Set<number>;
}

/**
 * Merges the most frequent pair of neighbouring tokens, `merges` times or until no pair is left; of equally frequent ones, the
 * one whose bytes are greater. `bytes[id]` is what token `id` stands for, a character per byte; merged tokens are added to it.
 * Words change in place. Only words that hold the merged pair are looked at again.
 *
 * @returns The merged pairs of tokens, in order.
 */
export function mergePairs(words: readonly Word[], bytes: string[], merges: number): [number, number][] {
  const pairs = new Map<number, Pair>();
  const heap = new PairHeap<Pair>((a, b) => {
    if (a.pair.first !== b.pair.first) return bytes[a.pair.first]! > bytes[b.pair.first]!;
    return bytes[a.pair.second]! > bytes[b.pair.second]!;
  });
  const changed = new Set<Pair>();
  const change = (word: number, first: number, second: number, by: number) => {
    const key = first * 2 ** 26 + second;
    let pair = pairs.get(key);
    if (!pair) {
      pair = { first, second, count: 0, words: new Set() };
      pairs.set(key, pair);
    }
    pair.count += by;
    if (by > 0) pair.words.add(word);
    changed.add(pair);
  };
  const changeAll = (word: number, sign: 1 | -1) => {
    const { tokens, count } = words[word]!;
    for (let i = 0; i + 1 < tokens.length; i++) change(word, tokens[i]!, tokens[i + 1]!, sign * count);
  };
  const push = () => {
    for (const pair of changed) {
      if (pair.count > 0) heap.push(pair, pair.count);
      else pairs.delete(pair.first * 2 ** 26 + pair.second);
    }
    changed.clear();
  };

  for (let i = 0; i < words.length; i++) changeAll(i, 1);
  push();
  const merged: [number, number][] = [];
  while (merged.length < merges) {
    const best = heap.pop();
    if (!best) break;
    const { first, second } = best;
    const token = bytes.push(bytes[first]! + bytes[second]!) - 1;
    for (const index of best.words) {
      const word = words[index]!;
      const joined = join(word.tokens, first, second, token);
      if (joined.length === word.tokens.length) continue;
      changeAll(index, -1);
      word.tokens = joined;
      changeAll(index, 1);
    }
    push();
    merged.push([first, second]);
  }
  return merged;
}

function join(tokens: readonly number[], first: number, second: number, token: number): number[] {
  const joined: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const found = tokens[i] === first && tokens[i + 1] === second;
    joined.push(found ? token : tokens[i]!);
    if (found) i++;
  }
  return joined;
}
