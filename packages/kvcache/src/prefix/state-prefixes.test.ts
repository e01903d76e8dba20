import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KvCache, type KvSequence, type KvShape, type PagedCacheOptions, pagedCache } from '../index.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const keys = { kind: 'rows', shape: [1, 2], dtype: 'f32' } as const;
const state = { kind: 'state', shape: [2], dtype: 'f32' } as const;
const hybrid: KvShape = {
  layers: [
    { keys, values: keys },
    { state, convolution: { ...keys, window: 4 } },
  ],
};
const recurrent: KvShape = { layers: [{ state, convolution: { ...keys, window: 4 } }] };

/** Blocks of four tokens. */
const open = (shape: KvShape, change: Partial<PagedCacheOptions> = {}): KvCache =>
  pagedCache(device, {
    shape,
    maxSequences: 3,
    maxSequenceTokens: 64,
    blockSize: 4,
    checkpointEvery: 16,
    checkpoints: 8,
    ...change,
  });

const count = (length: number, first = 1) => Array.from({ length }, (_, i) => first + i);

/** Computes what is not there of some tokens, in steps of at most `most`; says how many were found. */
function use(cache: KvCache, tokens: readonly number[], most = 64, prompt: readonly number[] = tokens): number {
  const sequence = cache.sequence('one', { tokens: prompt }) as KvSequence;
  const found = sequence.length;
  go(cache, sequence, tokens, most);
  sequence.dispose();
  cache.checkIntegrity();
  return found;
}
function go(cache: KvCache, sequence: KvSequence, tokens: readonly number[], most: number): void {
  while (sequence.length < tokens.length) {
    const rows = Math.min(most, tokens.length - sequence.length);
    expect(sequence.reserve(rows)).toBe(true);
    cache.batch([{ sequence, tokens: rows }]).advance();
    sequence.know(tokens.slice(sequence.known, sequence.length));
  }
}

for (const [name, shape] of [
  ['hybrid', hybrid],
  ['recurrent', recurrent],
] as const) {
  test(`${name}: a prompt begins where a state is: at its last full block, and at multiples of checkpointEvery`, () => {
    const cache = open(shape);
    expect(use(cache, count(30))).toBe(0);
    expect(cache.match({ tokens: count(30) })).toBe(28);
    expect(cache.match({ tokens: count(29) })).toBe(28);
    expect(cache.match({ tokens: count(28) })).toBe(16); // all but the last at most: the state of 24 was not kept
    expect(cache.match({ tokens: count(17) })).toBe(16);
    expect(cache.match({ tokens: count(16) })).toBe(0);
    expect(use(cache, count(30))).toBe(28);
    cache.dispose();
  });

  test(`${name}: a conversation goes on where its last full block ends`, () => {
    const cache = open(shape);
    use(cache, count(27), 1, count(10)); // a prompt of ten, and answers token by token
    expect(cache.match({ tokens: count(40) })).toBe(24);
    expect(use(cache, count(40))).toBe(24);
    cache.dispose();
  });

  test(`${name}: where prompts part a state is kept, for those that come after`, () => {
    const cache = open(shape);
    const common = count(10);
    use(cache, [...common, ...count(5, 100)]);
    // the second finds that the first has computed two blocks of its own, and no state there
    expect(use(cache, [...common, ...count(5, 200)])).toBe(0);
    expect(use(cache, [...common, ...count(5, 300)])).toBe(8);
    cache.dispose();
  });

  test(`${name}: without memory for checkpoints everything works, and nothing is lost`, () => {
    const cache = open(shape, { checkpoints: 0 });
    const all = ['a', 'b', 'c'].map((id) => cache.sequence(id) as KvSequence);
    for (let round = 0; round < 20; round++) {
      for (const sequence of all) expect(sequence.reserve(1)).toBe(true);
      cache.batch(all.map((sequence) => ({ sequence, tokens: 1, keep: [sequence.length + 1] }))).advance();
      cache.checkIntegrity();
    }
    expect(all.map((sequence) => sequence.truncate(10))).toEqual([0, 0, 0]);
    cache.checkIntegrity();
    cache.dispose();
  });
}

test('states of long prompts make way for others, the densest first', () => {
  const cache = open(hybrid, { checkpoints: 4, checkpointEvery: 4 });
  const sequence = cache.sequence('long', { tokens: count(60) }) as KvSequence;
  go(cache, sequence, count(60), 4);
  const left: number[] = [];
  for (let length = 59; length > 0; length = left.at(-1)! - 1) left.push(sequence.truncate(length));
  expect(left.at(-1)).toBe(0);
  expect(left.length).toBeGreaterThan(4); // more than were promised: the slots of sequences that are not open
  for (let i = 1; i < left.length; i++) expect(left[i - 1]! - left[i]!).toBeLessThanOrEqual(24);
  cache.checkIntegrity();
  cache.dispose();
});

test('sequences that are closed leave no node behind that nothing can be found through', () => {
  const cache = open(recurrent, { checkpoints: 2, checkpointEvery: 64 });
  for (let i = 0; i < 20; i++) use(cache, count(30, 1000 * i));
  const { blocksUsed, blocksCached, blocks } = cache.stats();
  expect(blocksUsed).toBe(0);
  expect(blocksCached).toBeLessThanOrEqual(blocks);
  cache.dispose();
});
