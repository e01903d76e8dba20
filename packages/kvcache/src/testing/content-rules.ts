import type { Device } from '@heddle/tensor';
import { boundNow } from '../bound-now.ts';
import { CacheDriver } from './cache-driver.ts';
import { applyOperations, drawOperations } from './cache-operations.ts';
import { holds, type KvCacheContractCase, same } from './contract.ts';
import { drawShape } from './random-shape.ts';
import type { KvCacheSizes, OpenKvCache } from './sizes.ts';
import { stateRules } from './state-rules.ts';

export type ContentRule = (driver: CacheDriver) => Promise<void>;

/** A rule's case: a fresh cache of these sizes, which is whole at the end and disposed of. */
export function contentCase(
  open: OpenKvCache,
  device: () => Device,
  sizes: KvCacheSizes,
  name: string,
  check: ContentRule,
): KvCacheContractCase {
  return {
    name,
    async run() {
      const driver = new CacheDriver(device(), open(device(), sizes), sizes.maxBatchTokens);
      try {
        await check(driver);
        driver.cache.checkIntegrity();
      } finally {
        driver.dispose();
        driver.cache.dispose();
      }
    },
  };
}

/** What a cache promises of its contents, by writing tokens and reading them back, and of the device's memory. */
export function contentRules(
  open: OpenKvCache,
  device: () => Device,
  sizes: KvCacheSizes,
  seeds: readonly number[],
): KvCacheContractCase[] {
  const rule = (name: string, check: ContentRule, shape = sizes.shape, more: Partial<KvCacheSizes> = {}) =>
    contentCase(open, device, { ...sizes, shape, ...more }, name, check);
  return [
    rule('keeps the tokens of sequences that are written together', keepRule),
    rule('a step that reads and writes sees what was there before', beforeRule),
    rule('a range is of the moment when it was asked for', momentRule),
    rule('a fork has the same tokens, and goes its own way', forkRule),
    rule('truncated tokens are gone, and only they', truncateRule),
    rule('room that was given back is used again', reuseRule),
    ...seeds.map((seed) =>
      rule(`is whole after random use (seed ${seed})`, (driver) =>
        applyOperations(driver, drawOperations(seed, 60, sizes.maxSequenceTokens)),
      ),
    ),
    ...seeds.map((seed) =>
      rule(
        `is whole after random use of layers of a random shape (seed ${seed})`,
        (driver) => applyOperations(driver, drawOperations(seed + 100, 60, sizes.maxSequenceTokens), 4),
        drawShape(seed),
      ),
    ),
    ...stateRules(rule),
    rule('allocates nothing while tokens flow', steadyRule),
    {
      name: 'leaves nothing on the device after dispose',
      run: () => nothingLeftRule(open, device(), sizes),
    },
  ];
}

/** Tokens of a vocabulary of many, so that sequences differ. */
const ids = (count: number, first: number) => Array.from({ length: count }, (_, i) => first + 3 * i);

async function keepRule(driver: CacheDriver): Promise<void> {
  const [a, b, c] = [driver.open('a'), driver.open('b'), driver.open('c')];
  const steps = [
    driver.write([
      { to: a, tokens: ids(3, 5) },
      { to: b, tokens: ids(2, 50) },
    ]),
    driver.write([
      { to: c, tokens: ids(5, 500) },
      { to: b, tokens: ids(1, 60) },
      { to: a, tokens: ids(1, 15) },
    ]),
  ];
  // The steps are submitted, not done: whatever is read now comes after them.
  await driver.checkRange(a);
  await Promise.all(steps);
  await driver.checkRange(b);
  await driver.checkRange(c, 1, 4);
  await driver.checkRange(c, 2, 2);
  await driver.check([c, a, b]);
}

async function beforeRule(driver: CacheDriver): Promise<void> {
  const { device, cache, stores } = driver;
  const a = driver.open('a');
  await driver.write([{ to: a, tokens: ids(4, 1) }]);
  driver.truncate(a, 2);
  a.kv.reserve(2);
  const batch = cache.batch([{ sequence: a.kv, tokens: 2 }]);
  const { step: kv, dispose } = boundNow(device, cache, batch);
  const { layer, name, store } = stores.at(-1)!;
  const others = stores.filter((place) => place.layer === layer);
  const { rows } = kv.rows(layer, name);
  const before = await rows.cast('f32').data();
  const fresh = others.map((place) => [place.name, device.full([2, ...place.store.shape], 7)] as const);
  const seen = rows.cast('f32').add(0);
  await device.realize([seen], [...kv.write(layer, Object.fromEntries(fresh))]);
  same(await seen.data(), before, 'what the step read');
  const after = (await rows.cast('f32').data()) as Float32Array;
  const written = after.filter((value) => value === 7).length;
  same(written, 2 * store.shape[0] * store.shape[1], 'values that are there after it');
  for (const tensor of [seen, ...fresh.map(([, rows]) => rows)]) tensor.dispose();
  dispose();
}

async function momentRule(driver: CacheDriver): Promise<void> {
  const a = driver.open('a');
  await driver.write([{ to: a, tokens: ids(4, 1) }]);
  const b = driver.fork(a, 'b');
  const asked = [a, b].map((one) => driver.checkRange({ ...one, contents: [...one.contents] }));
  for (const answer of asked) answer.catch(() => {}); // awaited below
  for (const one of [a, b]) driver.truncate(one, 0);
  await driver.write([
    { to: a, tokens: ids(4, 100) },
    { to: b, tokens: ids(4, 200) },
  ]);
  await Promise.all(asked);
  await driver.check([a, b]);
}

async function forkRule(driver: CacheDriver): Promise<void> {
  const parent = driver.open('parent');
  await driver.write([{ to: parent, tokens: ids(5, 1) }]);
  const child = driver.fork(parent, 'child');
  const part = driver.fork(parent, 'part', 3);
  same([child.kv.length, part.kv.length], [5, 3], 'lengths of forks');
  await driver.write([
    { to: parent, tokens: ids(2, 100) },
    { to: child, tokens: ids(3, 200) },
    { to: part, tokens: ids(2, 300) },
  ]);
  driver.truncate(parent, 3);
  await driver.write([{ to: parent, tokens: ids(1, 400) }]);
  await driver.check([part, parent, child]);
  part.kv.dispose();
  const grandchild = driver.fork(child, 'grandchild');
  await driver.check([grandchild, parent, child]);
  parent.kv.dispose();
  driver.truncate(child, 0);
  await driver.write([
    { to: child, tokens: ids(4, 500) },
    { to: grandchild, tokens: ids(1, 600) },
  ]);
  await driver.check([child, grandchild]);
  await driver.checkRange(grandchild);
}

async function truncateRule(driver: CacheDriver): Promise<void> {
  const [a, b] = [driver.open('a'), driver.open('b')];
  await driver.write([
    { to: a, tokens: ids(7, 1) },
    { to: b, tokens: ids(3, 100) },
  ]);
  for (const length of [6, 3, 3]) {
    driver.truncate(a, length);
    same(a.kv.length, length, 'length after a truncation');
    await driver.write([{ to: a, tokens: ids(2, 200 + length) }]);
    await driver.check([a, b]);
  }
  driver.truncate(a, 0);
  await driver.write([
    { to: b, tokens: ids(1, 300) },
    { to: a, tokens: ids(1, 400) },
  ]);
  await driver.checkRange(a);
  await driver.checkRange(b);
}

async function reuseRule(driver: CacheDriver): Promise<void> {
  const { maxSequences, maxSequenceTokens } = driver.cache;
  const stays = driver.open('stays');
  await driver.write([{ to: stays, tokens: ids(3, 1) }]);
  for (let round = 0; round < 3; round++) {
    const others = Array.from({ length: Math.min(maxSequences, 4) - 1 }, (_, i) => driver.open(`r${round}-${i}`));
    for (const [i, to] of others.entries())
      await driver.write([{ to, tokens: ids(maxSequenceTokens - i, 1000 * round + 100 * i) }]);
    await driver.check([...others, stays]);
    for (const { kv } of others) kv.dispose();
  }
  await driver.checkRange(stays);
}

async function steadyRule(driver: CacheDriver): Promise<void> {
  const { device, cache } = driver;
  const round = async (name: string) => {
    const [a, b] = [driver.open(`${name} a`), driver.open(`${name} b`, { tokens: ids(4, 7), namespace: 'steady' })];
    await driver.write([
      { to: a, tokens: ids(4, 1) },
      { to: b, tokens: ids(3, 7) },
    ]);
    for (let i = 0; i < 3; i++) {
      await driver.write([
        { to: a, tokens: ids(1, 20 + i) },
        { to: b, tokens: ids(1, 30 + i) },
      ]);
      driver.truncate(b, 3);
    }
    a.kv.dispose();
    b.kv.dispose();
  };
  const books = () => {
    const { live, peak, pooled } = device.memory();
    return { live, peak, pooled, bytes: cache.stats().bytes };
  };
  await round('first');
  const before = books();
  for (let i = 0; i < 5; i++) await round(`round ${i}`);
  same(books(), before, "the device's memory");
}

async function nothingLeftRule(open: OpenKvCache, device: Device, sizes: KvCacheSizes): Promise<void> {
  await device.trim();
  const before = device.memory().live;
  const driver = new CacheDriver(device, open(device, sizes), sizes.maxBatchTokens);
  const { bytes } = driver.cache.stats();
  const held = device.memory().live - before;
  holds(held >= bytes, `the device counts the ${bytes} bytes of the cache, got ${held}`);
  const a = driver.open('a');
  await driver.write([{ to: a, tokens: ids(4, 1) }]);
  const b = driver.fork(a, 'b');
  await driver.checkRange(b);
  driver.dispose();
  driver.cache.dispose();
  await device.trim();
  same(device.memory().live, before, 'bytes on the device');
}
