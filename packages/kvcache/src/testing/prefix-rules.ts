import type { Device } from '@heddle/tensor';
import type { CacheDriver, Tracked } from './cache-driver.ts';
import { type ContentRule, contentCase } from './content-rules.ts';
import { holds, type KvCacheContractCase, refused, same } from './contract.ts';
import type { KvCacheSizes, OpenKvCache } from './sizes.ts';

/** What any cache promises of prompts: what it finds is right, whether it shares much, little or nothing. */
export function prefixRules(open: OpenKvCache, device: () => Device, sizes: KvCacheSizes): KvCacheContractCase[] {
  const rule = (name: string, check: ContentRule) => contentCase(open, device, sizes, name, check);
  return [
    rule('what is found of a prompt is what was computed for it, for nobody else, and never all of it', hitRule),
    rule('what nobody knows, or has failed, is not found', unknownRule),
    rule('tokens that were forgotten are not found, and those that are found were not forgotten', forgetRule),
    rule('what a sequence begins with is not forgotten while it is open', holdRule),
    rule('known tokens may be truncated and others written, also where no room is left', rewriteRule),
    rule('ids are told once, and not before their tokens are written', knowRule),
    rule('counts of hits and misses are those of the prompts', countRule),
  ];
}

const prompt = (count: number, first = 1) => Array.from({ length: count }, (_, i) => first + 7 * i);
const rest = (one: Tracked, tokens: readonly number[]) => ({ to: one, tokens: tokens.slice(one.tokens.length) });

async function hitRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const tokens = prompt(cache.maxSequenceTokens);
  const a = driver.open('a', { tokens });
  same(a.kv.length, 0, 'an empty cache has nothing of a prompt');
  await driver.write([rest(a, tokens)]);
  const found = cache.match({ tokens });
  holds(found < tokens.length, `at most all but the last of ${tokens.length} tokens are found, got ${found}`);
  same(cache.match({ tokens, namespace: 'others' }), 0, 'tokens found of another namespace');
  same(cache.match({ tokens: tokens.map((token) => token + 1) }), 0, 'tokens found of another prompt');
  // differs in one token, so that what is found ends before it
  for (const at of [0, 3, 7, tokens.length - 2]) {
    const other = tokens.map((token, i) => (i === at ? token + 1 : token));
    holds(cache.match({ tokens: other }) <= at, `no more than ${at} tokens of a prompt that differs there are found`);
    const b = driver.open('b', { tokens: other });
    await driver.write([rest(b, other)]);
    await driver.check([a, b]);
    b.kv.dispose();
  }
  const again = driver.open('again', { tokens });
  same(again.kv.length, cache.match({ tokens }), 'a sequence begins with what is found');
  await driver.check([again, a]);
  a.kv.dispose();
  await driver.write([rest(again, tokens)]);
  await driver.check([again]);
  await driver.checkRange(again);
}

async function unknownRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const tokens = prompt(cache.maxSequenceTokens);
  const a = driver.open('a', { tokens });
  await driver.write([rest(a, tokens)], false);
  same(cache.match({ tokens }), 0, 'tokens found that nobody was told of');
  a.kv.dispose();
  same(cache.match({ tokens }), 0, 'tokens found after their sequence has ended unknown');
  const b = driver.open('b', { tokens });
  same(b.kv.length, 0, 'tokens that a sequence begins with');
}

async function forgetRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const prompts = Array.from({ length: 3 * cache.maxSequences }, (_, i) => prompt(cache.maxSequenceTokens, 1000 * i));
  // more than fits: something is forgotten, or nothing was kept
  for (const [i, tokens] of prompts.entries()) {
    const one = driver.open(`p${i}`, { tokens });
    await driver.write([rest(one, tokens)]);
    one.kv.dispose();
    cache.checkIntegrity();
  }
  let found = 0;
  for (const [i, tokens] of prompts.entries()) {
    const one = driver.open(`q${i}`, { tokens });
    found += one.kv.length;
    await driver.check([one]);
    one.kv.dispose();
  }
  const { tokenCapacity } = cache.stats();
  holds(found <= tokenCapacity, `no more tokens are found than fit: ${found} of ${tokenCapacity}`);
}

async function holdRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const tokens = prompt(cache.maxSequenceTokens);
  const first = driver.open('first', { tokens });
  // one less, so that the last block that is kept of it is found too
  await driver.write([rest(first, tokens.slice(0, -1))]);
  first.kv.dispose();
  const held = driver.open('held', { tokens });
  for (let i = 0; i < 3 * cache.maxSequences; i++) {
    const other = prompt(cache.maxSequenceTokens, 1000 * (i + 1));
    const one = driver.open(`other ${i}`, { tokens: other });
    await driver.write([rest(one, other)]);
    one.kv.dispose();
    await driver.check([held]);
    cache.checkIntegrity();
  }
  await driver.write([rest(held, tokens)]);
  await driver.check([held]);
}

async function rewriteRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const most = cache.maxSequenceTokens;
  const all = Array.from({ length: cache.maxSequences }, (_, i) => driver.open(`s${i}`));
  for (const [i, to] of all.entries()) await driver.write([{ to, tokens: prompt(most, 1000 * i) }]);
  for (const length of [most - 1, most - 3]) {
    for (const one of all) driver.truncate(one, length);
    cache.checkIntegrity();
    for (const [i, to] of all.entries()) await driver.write([{ to, tokens: prompt(most - length, 5000 * i + length) }]);
    await driver.check(all);
  }
}

async function knowRule(driver: CacheDriver): Promise<void> {
  const a = driver.open('a');
  await refused('ERR_ARGUMENT', () => a.kv.know([1]), 'ids of tokens that are not written');
  await driver.write([{ to: a, tokens: [1, 2, 3] }], false);
  same(a.kv.known, 0, 'tokens that are known before anybody says so');
  a.kv.know([1, 2]);
  same(a.kv.known, 2, 'tokens that are known');
  await refused('ERR_ARGUMENT', () => a.kv.know([3, 4]), 'more ids than tokens');
  same(a.kv.known, 2, 'tokens that are known after a refusal');
  a.kv.know([3]);
  a.kv.know([]);
  driver.truncate(a, 1);
  same(a.kv.known, 1, 'tokens that are known after a truncation');
}

async function countRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const tokens = prompt(cache.maxSequenceTokens);
  let [hits, misses] = [0, 0];
  for (const name of ['a', 'b', 'c']) {
    const one = driver.open(name, { tokens });
    hits += one.kv.length;
    misses += tokens.length - one.kv.length;
    const { hitTokens, missTokens } = cache.stats();
    same({ hitTokens, missTokens }, { hitTokens: hits, missTokens: misses }, 'hits and misses');
    await driver.write([rest(one, tokens)]);
    if (name !== 'b') one.kv.dispose();
  }
}
