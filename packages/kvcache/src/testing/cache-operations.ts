import { threefry2x32, uniformFromBits } from '@heddle/tensor';
import type { CacheDriver, Tracked } from './cache-driver.ts';
import { holds, KvCacheContractError, same } from './contract.ts';

/** One use of a cache. `which` picks a sequence among those that are open, `count` is a number of tokens, `bits` their ids. */
export interface CacheOperation {
  readonly kind: (typeof kinds)[number];
  readonly which: number;
  readonly count: number;
  readonly bits: number;
}

export const kinds = [
  'open',
  'open alike',
  'write',
  'write',
  'write unknown',
  'write all',
  'lay out',
  'reserve',
  'truncate',
  'fork',
  'fork a part',
  'dispose',
] as const;

/** Operations drawn at random, the same for the same seed everywhere. */
export function drawOperations(seed: number, length: number, maxCount: number): CacheOperation[] {
  const draw = (index: number, part: number, below: number) =>
    Math.floor(uniformFromBits(threefry2x32(seed, 0, index, part)) * below);
  return Array.from({ length }, (_, index) => ({
    kind: kinds[draw(index, 0, kinds.length)]!,
    which: draw(index, 1, 64),
    count: draw(index, 2, maxCount + 1),
    bits: draw(index, 3, 2 ** 12),
  }));
}

/**
 * Applies operations to an empty cache and to lists of tokens, and compares the two: counts after each operation, contents as
 * layers read them after every `look`-th, everything at the end. Closes the sequences. Tokens are of a vocabulary of two, so
 * that prompts are often alike.
 */
export async function applyOperations(
  driver: CacheDriver,
  operations: readonly CacheOperation[],
  look: number = 8,
): Promise<void> {
  const open: Tracked[] = [];
  const done: string[] = [];
  const steps: Promise<void>[] = [];
  try {
    for (const [index, operation] of operations.entries()) {
      const one = open[operation.which % Math.max(1, open.length)];
      done.push(`${operation.kind} ${one?.kv.id ?? ''} ${operation.count}`);
      apply(driver, open, one, operation, `s${index}`, steps);
      checkBooks(driver, open);
      if ((index + 1) % look === 0) await driver.check(open);
    }
    await Promise.all(steps);
    await driver.check(open);
    if (driver.keepsRows) for (const one of open) await driver.checkRange(one);
    for (const { kv } of open.splice(0)) kv.dispose();
    checkBooks(driver, open);
  } catch (error) {
    await Promise.allSettled(steps);
    const message = error instanceof Error ? error.message : String(error);
    throw new KvCacheContractError(`${message}, after: ${done.join('; ')}`, { cause: error });
  }
}

function apply(
  driver: CacheDriver,
  open: Tracked[],
  one: Tracked | undefined,
  { kind, count, bits }: CacheOperation,
  name: string,
  steps: Promise<void>[],
): void {
  const { cache } = driver;
  const room = (of: Tracked) => cache.maxSequenceTokens - of.tokens.length;
  const ids = (length: number) => Array.from({ length }, (_, i) => (bits >> (i % 12)) & 1);
  const full = open.length >= cache.maxSequences;
  if (kind === 'open') {
    if (!full) open.push(driver.open(name));
    else same(cache.sequence(name), 'full', `no more than ${cache.maxSequences} sequences are open`);
  } else if (kind === 'open alike') {
    openAlike(
      driver,
      open,
      [...(one?.tokens ?? []), ...ids(1 + (count % 4))],
      bits % 3 === 0 ? 'other' : '',
      name,
      full,
    );
  } else if (!one) {
    return;
  } else if (kind === 'write' || kind === 'write unknown' || kind === 'write all') {
    let left = driver.maxBatchTokens;
    const rows = (kind === 'write all' ? open : [one]).map((to) => {
      const length = Math.min(count, room(to), left);
      left -= length;
      // a length whose state is to be kept
      const keep = bits % 2 === 0 ? [to.tokens.length + (bits % (length + 1))] : [];
      return { to, tokens: ids(length), keep };
    });
    if (rows.some(({ tokens }) => tokens.length > 0)) steps.push(driver.write(rows, kind !== 'write unknown'));
  } else if (kind === 'lay out') {
    // a step that is never run
    const tokens = Math.min(count, room(one), driver.maxBatchTokens);
    holds(one.kv.reserve(tokens), `there is room for ${tokens} more tokens of ${one.kv.id}`);
    cache.batch([{ sequence: one.kv, tokens, keep: [one.kv.length + (bits % (tokens + 1))] }]);
  } else if (kind === 'reserve') {
    const fits = count <= room(one);
    holds(one.kv.reserve(count) === fits, `${count} more tokens of ${one.kv.id} ${fits ? '' : 'do not '}fit`);
  } else if (kind === 'truncate') {
    driver.truncate(one, Math.min(one.tokens.length, count));
    if (driver.keepsAll) same(one.kv.length, Math.min(one.kv.length, count), 'a truncation leaves what was asked for');
  } else if (kind === 'fork' || kind === 'fork a part') {
    const length = kind === 'fork' ? undefined : Math.min(one.tokens.length, count);
    if (!full) open.push(driver.fork(one, name, length));
    else same(one.kv.fork(name, length), 'full', `no more than ${cache.maxSequences} sequences are open`);
  } else {
    one.kv.dispose();
    open.splice(open.indexOf(one), 1);
  }
}

/** Opens a sequence for a prompt that begins as another one's tokens. */
function openAlike(
  driver: CacheDriver,
  open: Tracked[],
  tokens: readonly number[],
  namespace: string,
  name: string,
  full: boolean,
): void {
  const { cache } = driver;
  const prompt = { tokens: tokens.slice(0, cache.maxSequenceTokens), namespace };
  const found = cache.match(prompt);
  holds(
    found >= 0 && found < prompt.tokens.length,
    `match finds less than the ${prompt.tokens.length} tokens: ${found}`,
  );
  if (full) {
    same(cache.sequence(name, prompt), 'full', `no more than ${cache.maxSequences} sequences are open`);
    return;
  }
  const kv = cache.sequence(name, prompt);
  if (kv === 'pending') return;
  holds(kv !== 'full', `there is room for the sequence ${name}`);
  kv.dispose();
  const again = driver.open(name, prompt);
  same(again.kv.length, found, 'a sequence begins with what match finds');
  same(again.kv.known, found, 'and knows it');
  open.push(again);
}

/** What the cache says of itself, against what was done with it. */
function checkBooks({ cache }: CacheDriver, open: readonly Tracked[]): void {
  cache.checkIntegrity();
  for (const { kv, tokens } of open) same(kv.length, tokens.length, `length of ${kv.id}`);
  const { sequences, tokens, blocks, blocksUsed, blocksCached } = cache.stats();
  const sum = open.reduce((total, one) => total + one.tokens.length, 0);
  same({ sequences, tokens }, { sequences: open.length, tokens: sum }, 'stats');
  holds(
    blocksUsed >= 0 && blocksCached >= 0 && blocksUsed + blocksCached <= blocks,
    `stats: ${blocksUsed} used and ${blocksCached} cached of ${blocks} blocks`,
  );
  if (open.length === 0) same(blocksUsed, 0, 'blocks that are used when no sequence is open');
}
