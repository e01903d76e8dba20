import type { KvShape } from '../kv-shape.ts';
import type { CacheDriver } from './cache-driver.ts';
import { holds, type KvCacheContractCase, refused, same } from './contract.ts';
import type { KvCacheSizes } from './sizes.ts';

/** Layers of a hybrid model: attention, a recurrence with its short convolution, a recurrence alone. */
const shape: KvShape = {
  layers: [
    {
      keys: { kind: 'rows', shape: [1, 2], dtype: 'f32' },
      values: { kind: 'rows', shape: [1, 2], dtype: 'f16' },
    },
    {
      state: { kind: 'state', shape: [2, 3, 2], dtype: 'f32' },
      convolution: { kind: 'rows', shape: [1, 3], dtype: 'f32', window: 4 },
    },
    { state: { kind: 'state', shape: [5], dtype: 'f16' } },
  ],
};

type MakeRule = (
  name: string,
  check: (driver: CacheDriver) => Promise<void>,
  shape: KvShape,
  sizes?: Partial<KvCacheSizes>,
) => KvCacheContractCase;

/** What a cache promises of the states of recurrent layers. */
export function stateRules(rule: MakeRule): KvCacheContractCase[] {
  return [
    rule('a state follows from every token before it, in steps of any length', foldRule, shape),
    rule('a state that is to be kept is there to go back to, for the sequence and for forks', keepRule, shape),
    rule('long sequences go back to states, and on, with the rows that are read there', longRule, shape, {
      maxSequences: 2,
      maxSequenceTokens: 40,
    }),
    rule('a step that was laid out and not run leaves no state', abandonRule, shape),
    rule('what cannot be kept is refused, and a layer says which states it has', refusalRule, shape),
  ];
}

const ids = (count: number, first: number) => Array.from({ length: count }, (_, i) => first + 5 * i);

async function foldRule(driver: CacheDriver): Promise<void> {
  const [a, b] = [driver.open('a'), driver.open('b')];
  await driver.write([{ to: a, tokens: ids(7, 1) }]);
  await driver.check([a, b]);
  for (let i = 0; i < 4; i++) {
    await driver.write([
      { to: b, tokens: ids(1 + (i % 3), 100 + i) },
      { to: a, tokens: ids(1, 50 + i) },
    ]);
    await driver.check([b, a]);
  }
  const c = driver.fork(a, 'c');
  same(c.kv.length, a.kv.length, 'length of a fork of all tokens');
  await driver.write([{ to: c, tokens: [9] }]);
  await driver.check([a, c]);
  a.kv.dispose();
  const d = driver.open('d');
  await driver.write([{ to: d, tokens: ids(2, 7) }]);
  await driver.check([d, c, b]);
}

async function keepRule(driver: CacheDriver): Promise<void> {
  const a = driver.open('a');
  await driver.write([{ to: a, tokens: ids(9, 1), keep: [2, 5] }]);
  await driver.write([{ to: a, tokens: ids(2, 90) }]);
  const [b, c] = [driver.fork(a, 'b', 6), driver.fork(a, 'c', 5)];
  for (const fork of [b, c])
    holds(fork.kv.length >= 5 && fork.kv.length <= 6, `a fork goes back to 5 tokens at least, got ${fork.kv.length}`);
  await driver.check([a, b, c]);
  driver.truncate(a, 5);
  same(a.kv.length, 5, 'a truncation to a length whose state was kept');
  await driver.write([
    { to: a, tokens: ids(3, 200), keep: [5, 7] },
    { to: c, tokens: ids(1, 300) },
  ]);
  await driver.check([a, b, c]);
  driver.truncate(a, 7);
  same(a.kv.length, 7, 'a truncation to a later one');
  driver.truncate(a, 5);
  same(a.kv.length, 5, 'a truncation to an earlier one, again');
  await driver.check([a, b, c]);
  driver.truncate(a, 1);
  await driver.write([{ to: a, tokens: ids(4, 400) }]);
  await driver.check([a, b, c]);
}

async function longRule(driver: CacheDriver): Promise<void> {
  const [a, b] = [driver.open('a'), driver.open('b')];
  // states far back, and later more of them than there is memory for
  const keep = [6, 9, 26, 27, 28, 29];
  for (let start = 0; start < 30; start += 5)
    await driver.write([
      { to: a, tokens: ids(5, start), keep: keep.filter((length) => start <= length && length <= start + 5) },
      { to: b, tokens: ids(5, 100 + start), keep: start === 25 ? [26, 27, 28, 29] : [] },
    ]);
  driver.cache.checkIntegrity();
  await driver.check([a, b]);
  let length = a.kv.length;
  for (let round = 0; length > 0 && round < 40; round++) {
    // each time from a state, some tokens on, and back to the one before
    driver.truncate(a, length);
    length = a.kv.length;
    driver.cache.checkIntegrity();
    await driver.check([a]);
    for (let i = 0; i < 6; i++) await driver.write([{ to: a, tokens: [1000 * round + i] }]);
    await driver.check([a, b]);
    driver.cache.checkIntegrity();
    driver.truncate(a, length);
    length = a.kv.length - 1;
  }
  await driver.check([b]);
}

async function abandonRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const all = Array.from({ length: cache.maxSequences }, (_, i) => driver.open(`s${i}`));
  for (let round = 0; round < 3; round++) {
    for (const { kv } of all) {
      holds(kv.reserve(3), 'there is room for 3 more tokens');
      cache.batch([{ sequence: kv, tokens: 3, keep: [kv.length + 1] }]);
    }
    cache.checkIntegrity();
    await driver.write(all.map((to, i) => ({ to, tokens: ids(2, 10 * i + round) })));
    await driver.check(all);
  }
  const [{ kv }] = all as [(typeof all)[0]];
  holds(kv.reserve(1), 'there is room for one more token');
  const first = cache.batch([{ sequence: kv, tokens: 1 }]);
  cache.batch([{ sequence: kv, tokens: 1 }]);
  await refused('ERR_ARGUMENT', () => first.advance(), 'a step that was laid out again');
}

async function refusalRule(driver: CacheDriver): Promise<void> {
  const { cache } = driver;
  const a = driver.open('a');
  await driver.write([{ to: a, tokens: ids(4, 1) }]);
  a.kv.reserve(2);
  for (const keep of [3, 7, 4.5, Number.NaN])
    await refused(
      'ERR_ARGUMENT',
      () => cache.batch([{ sequence: a.kv, tokens: 2, keep: [keep] }]),
      `a length to keep of ${keep} in a step from 4 to 6`,
    );
  const { saves } = cache.batch([{ sequence: a.kv, tokens: 2, keep: 'end' }]);
  same(saves, [1], 'what is saved of a step of which only the end is');
  await driver.check([a]);
}
