import { threefry2x32, uniformFromBits } from '@heddle/tensor';
import type { CacheDriver, Tracked } from './cache-driver.ts';
import { holds, KvCacheContractError, same } from './contract.ts';

/** One use of a cache. `which` picks a sequence among those that are open, `count` is a number of tokens. */
export interface CacheOperation {
  readonly kind: (typeof kinds)[number];
  readonly which: number;
  readonly count: number;
}

export const kinds = ['open', 'write', 'write', 'write all', 'reserve', 'truncate', 'fork', 'dispose'] as const;

/** Operations drawn at random, the same for the same seed everywhere. */
export function drawOperations(seed: number, length: number, maxCount: number): CacheOperation[] {
  const draw = (index: number, part: number, below: number) =>
    Math.floor(uniformFromBits(threefry2x32(seed, 0, index, part)) * below);
  return Array.from({ length }, (_, index) => ({
    kind: kinds[draw(index, 0, kinds.length)]!,
    which: draw(index, 1, 64),
    count: draw(index, 2, maxCount + 1),
  }));
}

/**
 * Applies operations to an empty cache and to lists of tokens, and compares the two: counts after each operation, contents
 * through the block table after every `look`-th, everything at the end. Closes the sequences.
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
      if ((index + 1) % look === 0) await driver.checkThroughBlockTable(open);
    }
    await Promise.all(steps);
    await driver.checkThroughBlockTable(open);
    for (const one of open) await driver.checkRange(one);
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
  { kind, count }: CacheOperation,
  name: string,
  steps: Promise<void>[],
): void {
  const { cache } = driver;
  const room = (of: Tracked) => cache.maxSequenceTokens - of.tokens.length;
  if (kind === 'open') {
    if (open.length < cache.maxSequences) open.push(driver.open(name));
    else holds(cache.sequence(name) === undefined, `no more than ${cache.maxSequences} sequences are open`);
  } else if (!one) {
    return;
  } else if (kind === 'write' || kind === 'write all') {
    const rows = (kind === 'write' ? [one] : open).map((to) => ({ to, count: Math.min(count, room(to)) }));
    if (rows.some((row) => row.count > 0)) steps.push(driver.write(rows));
  } else if (kind === 'reserve') {
    const fits = count <= room(one);
    holds(
      (one.kv.reserve(count) !== undefined) === fits,
      `${count} more tokens of ${one.kv.id} ${fits ? '' : 'do not '}fit`,
    );
  } else if (kind === 'truncate') {
    one.tokens.length = Math.min(one.tokens.length, count);
    one.kv.truncate(one.tokens.length);
  } else if (kind === 'fork') {
    if (open.length < cache.maxSequences) open.push(driver.fork(one, name));
    else holds(one.kv.fork(name) === undefined, `no more than ${cache.maxSequences} sequences are open`);
  } else {
    one.kv.dispose();
    open.splice(open.indexOf(one), 1);
  }
}

/** What the cache says of itself, against what was done with it. */
function checkBooks({ cache }: CacheDriver, open: readonly Tracked[]): void {
  cache.checkIntegrity();
  for (const { kv, tokens } of open) same(kv.length, tokens.length, `length of ${kv.id}`);
  const { sequences, tokens, blocks, blocksUsed } = cache.stats();
  const sum = open.reduce((total, one) => total + one.tokens.length, 0);
  same({ sequences, tokens }, { sequences: open.length, tokens: sum }, 'stats');
  holds(blocksUsed >= 0 && blocksUsed <= blocks, `stats: ${blocksUsed} of ${blocks} blocks are used`);
  checkSlots(cache, open);
}

/** Where the next tokens go, nothing is that anyone still reads. */
function checkSlots(cache: CacheDriver['cache'], open: readonly Tracked[]): void {
  const growing = open.filter(({ kv }) => kv.reserve(1) !== undefined);
  const { blockTable, slots } = cache.batch(
    open.map(({ kv }) => ({ sequence: kv, tokens: growing.some((one) => one.kv === kv) ? 1 : 0 })),
  );
  const read = new Set<number>();
  open.forEach(({ tokens }, b) => {
    const first = b * blockTable.shape[1];
    for (let position = 0; position < tokens.length; position++) {
      const block = blockTable.data[first + Math.floor(position / cache.blockSize)]!;
      read.add(block * cache.blockSize + (position % cache.blockSize));
    }
  });
  same(new Set(slots).size, slots.length, 'slots of a step are different');
  const clash = slots.find((slot) => read.has(slot));
  holds(clash === undefined, `slot ${clash} would be written and is still read`);
}
