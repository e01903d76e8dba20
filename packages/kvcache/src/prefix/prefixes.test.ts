import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type EvictionPolicy,
  firstInFirstOut,
  type KvCache,
  type KvPrompt,
  type KvSequence,
  keyValueShape,
  leastFrequentlyUsed,
  leastRecentlyUsed,
  lowestPriority,
  pagedCache,
} from '../index.ts';
import { keyOf } from './token-node.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });

/** A cache of blocks of two tokens. */
const open = (blocks: number, share: EvictionPolicy | false = leastRecentlyUsed()): KvCache =>
  pagedCache(device, { shape, maxSequences: 4, maxSequenceTokens: 8, blockSize: 2, tokens: 2 * blocks, share });

test('what is no policy, no tier, and no yes or no is refused when the cache is opened', () => {
  const sizes = { shape, maxSequences: 1, maxSequenceTokens: 64 };
  const refused = (change: object) => expect(() => pagedCache(device, { ...sizes, ...change } as never));
  refused({ share: 'lru' }).toThrow(/share must be an eviction policy, .* got string/);
  refused({ share: leastFrequentlyUsed }).toThrow(/share must be an eviction policy, .* got function/);
  refused({ drops: 'yes' }).toThrow(/drops must be true or false, got the string yes/);
  refused({ tiers: { store: {}, model: 'm' } }).toThrow(/tiers.store must be a tier .* read is undefined/);
  refused({ retain: { hot: 32, store: {} } }).toThrow(/retain.store must be a tier .* read is undefined/);
});

/** Counts the tokens of a prompt as computed, and ends its sequence unless it `stays`. */
function use(cache: KvCache, id: string, prompt: KvPrompt, stays = false): KvSequence {
  const sequence = cache.sequence(id, prompt);
  if (typeof sequence === 'string') throw new Error(sequence);
  const left = prompt.tokens.length - sequence.length;
  if (!sequence.reserve(left)) throw new Error(`no room for ${id}`);
  cache.batch([{ sequence, tokens: left }]).advance();
  sequence.know(Array.from(prompt.tokens).slice(sequence.known));
  cache.checkIntegrity();
  if (!stays) sequence.dispose();
  return sequence;
}
const prompt = (first: number, priority = 0): KvPrompt => ({ tokens: [first, 1, 2, 3, 4, 5], priority });
const found = (cache: KvCache, first: number) => cache.match({ tokens: [...Array.from(prompt(first).tokens), 6] });

test('different tokens of one key are told apart', () => {
  // the key has 32 bits: among this many blocks two share one
  const seen = new Map<number, number[]>();
  let pair: [number[], number[]] | undefined;
  for (let a = 0; !pair; a++) {
    const tokens = [a, (a * 7919) % 131_072];
    const key = keyOf(tokens, 0, 2);
    const other = seen.get(key);
    if (other) pair = [other, tokens];
    seen.set(key, tokens);
  }
  const cache = open(8);
  use(cache, 'a', { tokens: [...pair[0], 9] });
  expect(cache.match({ tokens: [...pair[0], 1] })).toBe(2);
  expect(cache.match({ tokens: [...pair[1], 1] })).toBe(0);
  use(cache, 'b', { tokens: [...pair[1], 9] });
  expect(cache.match({ tokens: [...pair[0], 1] })).toBe(2);
  expect(cache.match({ tokens: [...pair[1], 1] })).toBe(2);
  cache.checkIntegrity();
  cache.dispose();
});

describe('what is forgotten first', () => {
  // three prompts of three blocks each in a cache of eleven; the fourth takes the end of one
  const policies: [EvictionPolicy, (cache: KvCache) => void, lost: number][] = [
    [leastRecentlyUsed(), (cache) => use(cache, 'again', prompt(100)), 200],
    [firstInFirstOut(), (cache) => use(cache, 'again', prompt(100)), 100],
    [
      leastFrequentlyUsed(),
      (cache) => {
        for (const first of [100, 300, 200]) use(cache, 'again', { tokens: [...Array.from(prompt(first).tokens), 6] });
        use(cache, 'once more', { tokens: [...Array.from(prompt(200).tokens), 6] });
        use(cache, 'once more', { tokens: [...Array.from(prompt(100).tokens), 6] });
      },
      300,
    ],
    [lowestPriority(), () => {}, 300],
  ];
  for (const [policy, uses, lost] of policies)
    test(`${policy.name}`, () => {
      const cache = open(11, policy);
      for (const [first, priority] of [
        [100, 2],
        [200, 3],
        [300, 1],
      ] as const)
        use(cache, `p${first}`, prompt(first, priority));
      uses(cache);
      use(cache, 'fourth', prompt(400, 9));
      for (const first of [100, 200, 300])
        expect([first, found(cache, first)]).toEqual([first, first === lost ? 4 : 6]);
      expect(found(cache, 400)).toBe(6);
      expect(cache.stats().evictions).toBe(1);
      cache.dispose();
    });

  test('nothing that a sequence holds', () => {
    const cache = open(4);
    const held = use(cache, 'held', { tokens: [1, 2, 3, 4, 5] }, true);
    expect(cache.stats()).toMatchObject({ blocksUsed: 3, blocksCached: 0 });
    const other = cache.sequence('other') as KvSequence;
    expect(other.reserve(4)).toBe(false);
    expect(other.reserve(2)).toBe(true);
    held.dispose();
    expect(cache.stats()).toMatchObject({ blocksUsed: 1, blocksCached: 2 });
    expect(other.reserve(8)).toBe(true);
    expect(cache.stats()).toMatchObject({ blocksUsed: 4, blocksCached: 0, evictions: 2 });
    cache.dispose();
  });
});

test('a prefix that is being computed is waited for, as long as it is', () => {
  const cache = open(16);
  const tokens = [1, 2, 3, 4, 5, 6, 7];
  const first = cache.sequence('first', { tokens }) as KvSequence;
  expect(cache.sequence('second', { tokens })).toBe('pending');
  // nor is a block that it ends with: its last token is computed in any case
  const short = cache.sequence('short', { tokens: [1, 2] });
  expect(short).toHaveProperty('length', 0);
  (short as KvSequence).dispose();
  expect(cache.sequence('second', { tokens })).toBe('pending');
  // what they do not share is not waited for, nor is another namespace, nor who names no prompt
  const others = [cache.sequence('o1', { tokens: [1, 9] }), cache.sequence('o2', { tokens, namespace: 'n' })];
  for (const other of others) expect(other).toHaveProperty('length', 0);
  first.reserve(7);
  cache.batch([{ sequence: first, tokens: 4 }]).advance();
  first.know([1, 2, 3, 4]);
  expect(cache.sequence('second', { tokens })).toBe('pending');
  expect(cache.sequence('third', { tokens: [1, 2, 3, 4, 9, 9, 9] })).toHaveProperty('length', 4);
  first.dispose();
  for (const other of others) (other as KvSequence).dispose();
  const second = cache.sequence('second', { tokens });
  expect(second).toHaveProperty('length', 4);
  // whoever computes it may have been set aside: nobody waits for ever
  const fourth = () => cache.sequence('fourth', { tokens });
  let asked = 0;
  while (fourth() === 'pending') asked++;
  expect(asked).toBe(256);
  cache.checkIntegrity();
  cache.dispose();
});

test('of two that computed the same, one block is kept for both', () => {
  const cache = open(16);
  const [a, b] = [cache.sequence('a') as KvSequence, cache.sequence('b') as KvSequence];
  for (const sequence of [a, b]) sequence.reserve(4);
  cache.batch([a, b].map((sequence) => ({ sequence, tokens: 4 }))).advance();
  expect(cache.stats().blocksUsed).toBe(4);
  a.know([1, 2, 3, 4]);
  b.know([1, 2, 3, 5]);
  expect(cache.stats().blocksUsed).toBe(3);
  cache.checkIntegrity();
  a.dispose();
  expect(b.truncate(3)).toBe(3);
  expect(b.reserve(2)).toBe(true);
  cache.checkIntegrity();
  cache.dispose();
});

test('a cache that shares nothing keeps nothing', () => {
  const cache = open(16, false);
  use(cache, 'a', prompt(1));
  expect(found(cache, 1)).toBe(0);
  expect(cache.stats()).toMatchObject({ blocksCached: 0, hitTokens: 0 });
  cache.dispose();
});
