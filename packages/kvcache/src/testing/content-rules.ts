import { type Device, type Tensor, take } from '@heddle/tensor';
import { CacheDriver } from './cache-driver.ts';
import { applyOperations, drawOperations } from './cache-operations.ts';
import { holds, type KvCacheContractCase, same } from './contract.ts';
import type { KvCacheSizes, OpenKvCache } from './sizes.ts';

type Rule = (driver: CacheDriver) => Promise<void>;

/** What a cache promises of its contents, by writing tokens and reading them back, and of the device's memory. */
export function contentRules(
  open: OpenKvCache,
  device: () => Device,
  sizes: KvCacheSizes,
  seeds: readonly number[],
): KvCacheContractCase[] {
  const rule = (name: string, check: Rule, dtype: KvCacheSizes['dtype'] = sizes.dtype): KvCacheContractCase => ({
    name,
    async run() {
      const driver = new CacheDriver(device(), open(device(), { ...sizes, dtype }));
      try {
        await check(driver);
        driver.cache.checkIntegrity();
      } finally {
        driver.dispose();
        driver.cache.dispose();
      }
    },
  });
  return [
    rule('keeps the tokens of sequences that are written together', keepRule),
    rule('keeps them in f16', keepRule, 'f16'),
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
    rule('allocates nothing while tokens flow', steadyRule),
    {
      name: 'leaves nothing on the device after dispose',
      run: () => nothingLeftRule(open, device(), sizes),
    },
  ];
}

async function keepRule(driver: CacheDriver): Promise<void> {
  const [a, b, c] = [driver.open('a'), driver.open('b'), driver.open('c')];
  const steps = [
    driver.write([
      { to: a, count: 3 },
      { to: b, count: 2 },
    ]),
    driver.write([
      { to: c, count: 5 },
      { to: b, count: 1 },
      { to: a, count: 1 },
    ]),
  ];
  // The steps are submitted, not done: whatever is read now comes after them.
  await driver.checkRange(a);
  await Promise.all(steps);
  await driver.checkRange(b);
  await driver.checkRange(c, 1, 4);
  await driver.checkRange(c, 2, 2);
  await driver.checkThroughBlockTable([c, a, b]);
}

async function beforeRule(driver: CacheDriver): Promise<void> {
  const { device, cache } = driver;
  const a = driver.open('a');
  await driver.write([{ to: a, count: 4 }]);
  a.kv.truncate(2);
  const { slots } = a.kv.reserve(2)!;
  const batch = cache.batch([{ sequence: a.kv, tokens: 2 }]);
  const made: Tensor[] = [];
  const make = (data: Int32Array | Float32Array, shape: readonly number[]) => {
    const tensor = device.tensor(data, { shape });
    made.push(tensor);
    return tensor;
  };
  const rows = make(slots, [2]);
  const kv = cache.bind({
    blockTable: make(batch.blockTable.data, batch.blockTable.shape),
    lengths: make(batch.lengths, [1]),
    slots: rows,
    maxLength: batch.maxLength,
  });
  const { heads, headDim, layers } = cache.shape;
  const fresh = make(new Float32Array(2 * heads * headDim).fill(7), [2, heads, headDim]);
  const keys = () => take(kv.layer(layers - 1).keys, rows).cast('f32');
  const before = await keys().data();
  const seen = keys();
  await device.realize([seen], kv.write(layers - 1, fresh, fresh));
  made.push(seen);
  same(await seen.data(), before, 'what the step read');
  same(await keys().data(), await fresh.data(), 'what is there after it');
  for (const tensor of made) tensor.dispose();
}

async function momentRule(driver: CacheDriver): Promise<void> {
  const a = driver.open('a');
  await driver.write([{ to: a, count: 4 }]);
  const b = driver.fork(a, 'b');
  const asked = [a, b].map((one) => driver.checkRange({ kv: one.kv, tokens: [...one.tokens] }));
  for (const one of [a, b]) {
    one.kv.truncate(0);
    one.tokens.length = 0;
  }
  await driver.write([
    { to: a, count: 4 },
    { to: b, count: 4 },
  ]);
  await Promise.all(asked);
  await driver.checkThroughBlockTable([a, b]);
}

async function forkRule(driver: CacheDriver): Promise<void> {
  const parent = driver.open('parent');
  await driver.write([{ to: parent, count: 5 }]);
  const child = driver.fork(parent, 'child');
  await driver.write([
    { to: parent, count: 2 },
    { to: child, count: 3 },
  ]);
  parent.kv.truncate(3);
  parent.tokens.length = 3;
  await driver.write([{ to: parent, count: 1 }]);
  const grandchild = driver.fork(child, 'grandchild');
  await driver.checkThroughBlockTable([grandchild, parent, child]);
  parent.kv.dispose();
  child.kv.truncate(0);
  child.tokens.length = 0;
  await driver.write([
    { to: child, count: 4 },
    { to: grandchild, count: 1 },
  ]);
  await driver.checkThroughBlockTable([child, grandchild]);
  await driver.checkRange(grandchild);
  const empty = driver.open('empty');
  empty.kv.dispose();
}

async function truncateRule(driver: CacheDriver): Promise<void> {
  const [a, b] = [driver.open('a'), driver.open('b')];
  await driver.write([
    { to: a, count: 7 },
    { to: b, count: 3 },
  ]);
  for (const length of [6, 3, 3]) {
    a.kv.truncate(length);
    a.tokens.length = length;
    await driver.write([{ to: a, count: 2 }]);
    await driver.checkThroughBlockTable([a, b]);
  }
  a.kv.truncate(0);
  a.tokens.length = 0;
  await driver.write([
    { to: b, count: 1 },
    { to: a, count: 1 },
  ]);
  await driver.checkRange(a);
  await driver.checkRange(b);
}

async function reuseRule(driver: CacheDriver): Promise<void> {
  const { maxSequences, maxSequenceTokens } = driver.cache;
  const stays = driver.open('stays');
  await driver.write([{ to: stays, count: 3 }]);
  for (let round = 0; round < 3; round++) {
    const others = Array.from({ length: Math.min(maxSequences, 4) - 1 }, (_, i) => driver.open(`r${round}-${i}`));
    await driver.write(others.map((to, i) => ({ to, count: maxSequenceTokens - i })));
    await driver.checkThroughBlockTable([...others, stays]);
    for (const { kv } of others) kv.dispose();
  }
  await driver.checkRange(stays);
}

async function steadyRule(driver: CacheDriver): Promise<void> {
  const { device, cache } = driver;
  const round = async (name: string) => {
    const [a, b] = [driver.open(`${name} a`), driver.open(`${name} b`)];
    await driver.write([
      { to: a, count: 4 },
      { to: b, count: 3 },
    ]);
    for (let i = 0; i < 3; i++) {
      await driver.write([
        { to: a, count: 1 },
        { to: b, count: 1 },
      ]);
      b.kv.truncate(3 + i);
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
  const driver = new CacheDriver(device, open(device, sizes));
  const { bytes } = driver.cache.stats();
  const held = device.memory().live - before;
  holds(held >= bytes, `the device counts the ${bytes} bytes of the cache, got ${held}`);
  const a = driver.open('a');
  await driver.write([{ to: a, count: 4 }]);
  const b = driver.fork(a, 'b');
  await driver.checkRange(b);
  driver.dispose();
  driver.cache.dispose();
  await device.trim();
  same(device.memory().live, before, 'bytes on the device');
}
