import type { Device } from '@heddle/tensor';
import type { KvCache } from '../kv-cache.ts';
import { holds, type KvCacheContractCase, refused, same } from './contract.ts';
import type { KvCacheSizes } from './sizes.ts';

/** A fresh cache for a rule that needs no contents; disposed of by the rule's runner. */
type Rule = (cache: KvCache, sizes: KvCacheSizes) => Promise<void> | void;

/** What a cache promises of room: sequences, reservations, refusals. No token is computed. */
export function roomRules(
  open: (device: Device, sizes: KvCacheSizes) => KvCache,
  device: () => Device,
  sizes: KvCacheSizes,
): KvCacheContractCase[] {
  const rule = (name: string, check: Rule): KvCacheContractCase => ({
    name,
    async run() {
      const cache = open(device(), sizes);
      try {
        await check(cache, sizes);
        cache.checkIntegrity();
      } finally {
        cache.dispose();
      }
    },
  });
  return [
    rule('has the sizes that were asked for, and is empty', emptyRule),
    rule('reserve says where the next tokens go, and says it again', reserveRule),
    rule('advance counts what is reserved, and no more', advanceRule),
    rule('truncate takes lengths up to the present one', truncateRule),
    rule('a step has its rows one sequence after the other, in the slots that were reserved', layoutRule),
    rule('takes all sequences at their largest, no more, and all again after they are closed', fullRule),
    rule('refuses what does not fit, and nothing changes', refusalRule),
    rule('refuses sequences that are closed, or of another cache', (cache) =>
      strangerRule(cache, open(device(), sizes)),
    ),
    rule('after dispose, sequences and cache refuse everything but dispose', disposedRule),
  ];
}

function emptyRule(cache: KvCache, sizes: KvCacheSizes): void {
  const { layers, heads, headDim, dtype } = sizes;
  same(pick(cache.shape), { layers, heads, headDim, dtype }, 'shape');
  holds(cache.maxSequences >= sizes.maxSequences, `maxSequences is at least ${sizes.maxSequences}`);
  holds(cache.maxSequenceTokens >= sizes.maxSequenceTokens, `maxSequenceTokens is at least ${sizes.maxSequenceTokens}`);
  holds(cache.maxBlocks * cache.blockSize >= cache.maxSequenceTokens, 'maxBlocks blocks hold maxSequenceTokens tokens');
  const { sequences, tokens, tokenCapacity, blocksUsed, bytes } = cache.stats();
  same({ sequences, tokens, blocksUsed }, { sequences: 0, tokens: 0, blocksUsed: 0 }, 'stats of an empty cache');
  const least = sizes.maxSequences * sizes.maxSequenceTokens;
  holds(tokenCapacity >= least, `tokenCapacity is at least ${least}, got ${tokenCapacity}`);
  holds(bytes > 0, 'bytes are counted');
}

function pick({ layers, heads, headDim, dtype }: KvCache['shape']): KvCache['shape'] {
  return { layers, heads, headDim, dtype };
}

function reserveRule(cache: KvCache): void {
  const [a, b] = [cache.sequence('a')!, cache.sequence('b')!];
  const most = cache.maxSequenceTokens;
  const few = a.reserve(2)!;
  same({ start: few.start, length: a.length }, { start: 0, length: 0 }, 'reserving writes nothing');
  same(a.reserve(2)!.slots, few.slots, 'the same slots again');
  const all = a.reserve(most)!.slots;
  same([all.length, new Set(all).size], [most, most], 'as many different slots as tokens');
  same(all.slice(0, 2), few.slots, 'more room keeps the slots that were given');
  same(a.reserve(1)!.slots, all.slice(0, 1), 'less is the first of them');
  same(a.reserve(0)!.slots, [], 'room for nothing');
  const shared = b.reserve(most)!.slots.filter((slot) => all.includes(slot));
  same(shared, [], 'sequences have no slot in common');
  const blocks = Math.ceil(most / cache.blockSize);
  holds(cache.stats().blocksUsed >= blocks, `blocksUsed counts the ${blocks} blocks of a sequence`);
}

async function advanceRule(cache: KvCache): Promise<void> {
  const a = cache.sequence('a')!;
  await refused('ERR_ARGUMENT', () => a.advance(1), 'advance without room');
  const { slots } = a.reserve(4)!;
  a.advance(1);
  a.advance(2);
  same(a.length, 3, 'length after advancing by 1 and 2');
  await refused('ERR_ARGUMENT', () => a.advance(2), 'advance by more than is reserved');
  same(a.reserve(1), { start: 3, slots: slots.slice(3) }, 'the slot that is left');
  same(cache.stats().tokens, 3, 'stats count written tokens');
  for (const count of [-1, 0.5, Number.NaN]) {
    await refused('ERR_ARGUMENT', () => a.advance(count), `advance(${count})`);
    await refused('ERR_ARGUMENT', () => a.reserve(count), `reserve(${count})`);
  }
  same(a.length, 3, 'refused calls change no length');
}

async function truncateRule(cache: KvCache): Promise<void> {
  const a = cache.sequence('a')!;
  a.reserve(4);
  a.advance(4);
  for (const length of [5, -1, 1.5])
    await refused('ERR_ARGUMENT', () => a.truncate(length), `truncate(${length}) of 4`);
  for (const length of [4, 2, 0, 0]) {
    a.truncate(length);
    same(a.length, length, `length after truncate(${length})`);
  }
  await refused('ERR_ARGUMENT', () => a.advance(1), 'advance into what was truncated');
  same(a.reserve(1)!.start, 0, 'the next token goes where the first was');
}

async function layoutRule(cache: KvCache): Promise<void> {
  const [a, b, c] = [cache.sequence('a')!, cache.sequence('b')!, cache.sequence('c')!];
  const written = a.reserve(3)!.slots;
  a.advance(3);
  const [mapA, mapB, mapC] = [a.reserve(1)!, b.reserve(2)!, c.reserve(1)!];
  const rows = [
    { sequence: b, tokens: 2 },
    { sequence: a, tokens: 1 },
    { sequence: c, tokens: 0 },
  ];
  const batch = cache.batch(rows);
  same(batch.slots, [...mapB.slots, ...mapA.slots], 'slots are those of the sequences, in their order');
  same(batch.lengths, [0, 3, 0], 'lengths are those before the step');
  same(batch.maxLength, 3, 'maxLength is the largest length');
  const [B, N] = batch.blockTable.shape;
  same([B, batch.blockTable.data.length], [3, 3 * N], 'the block table is [B, N]');
  holds(N >= 1 && N <= cache.maxBlocks, `N is from 1 to ${cache.maxBlocks}, got ${N}`);
  const through = Array.from({ length: 3 }, (_, position) => {
    const block = batch.blockTable.data[N + Math.floor(position / cache.blockSize)]!;
    return block * cache.blockSize + (position % cache.blockSize);
  });
  same(through, written, 'the block table leads to the slots of written tokens');
  same([a.length, b.length, c.length], [3, 0, 0], 'a batch changes no length');
  batch.advance();
  same([a.length, b.length, c.length], [4, 2, 0], 'its advance counts its rows');
  a.reserve(4);
  b.reserve(4);
  await refused('ERR_ARGUMENT', () => batch.advance(), 'a batch that is counted twice');
  const late = cache.batch([
    { sequence: b, tokens: 1 },
    { sequence: a, tokens: 1 },
  ]);
  a.truncate(1);
  await refused('ERR_ARGUMENT', () => late.advance(), 'a batch of a sequence that has changed since');
  same([a.length, b.length], [1, 2], 'a batch that is refused counts nothing');
  same(cache.batch([{ sequence: c, tokens: mapC.slots.length }]).maxLength, 1, 'maxLength is at least 1');
  await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: b, tokens: 9 }]), 'a batch of rows without room');
  const one = { sequence: b, tokens: 1 };
  await refused('ERR_ARGUMENT', () => cache.batch([one, one]), 'a batch that names a sequence twice');
  for (const tokens of [-1, 0.5])
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: b, tokens }]), `a batch of ${tokens} rows`);
}

function fullRule(cache: KvCache, { maxSequences, maxSequenceTokens }: KvCacheSizes): void {
  const empty = JSON.stringify(cache.stats());
  for (let round = 0; round < 2; round++) {
    const open = Array.from({ length: maxSequences }, (_, i) => cache.sequence(`s${i}`));
    const slots = open.flatMap((sequence) => {
      const room = sequence?.reserve(maxSequenceTokens);
      holds(room !== undefined, `room for ${maxSequences} sequences of ${maxSequenceTokens} tokens`);
      sequence?.advance(maxSequenceTokens);
      return [...room.slots];
    });
    same(new Set(slots).size, slots.length, 'no slot is given twice');
    cache.checkIntegrity();
    for (let extra = 0; extra <= cache.maxSequences - maxSequences; extra++) open.push(cache.sequence(`more${extra}`));
    same(open.at(-1), undefined, `no room for more than ${cache.maxSequences} sequences`);
    for (const sequence of open) sequence?.dispose();
    same(JSON.stringify(cache.stats()), empty, 'stats after all were closed');
  }
}

async function refusalRule(cache: KvCache): Promise<void> {
  const a = cache.sequence('a')!;
  a.reserve(2);
  a.advance(2);
  const before = JSON.stringify(cache.stats());
  const most = cache.maxSequenceTokens;
  same(a.reserve(most - 1), undefined, `room for 2 + ${most - 1} tokens`);
  await refused('ERR_ARGUMENT', () => cache.sequence('a'), 'a second sequence of the same id');
  await refused('ERR_ARGUMENT', () => a.fork('a'), 'a fork of the same id');
  for (const [start, end] of [
    [0, 3],
    [-1, 1],
    [2, 1],
    [0, 0.5],
  ] as const)
    await refused('ERR_ARGUMENT', () => a.range(start, end), `range(${start}, ${end}) of 2 tokens`);
  same(JSON.stringify(cache.stats()), before, 'stats after refusals');
  const others = Array.from({ length: cache.maxSequences - 1 }, (_, i) => cache.sequence(`s${i}`));
  same([cache.sequence('one more'), a.fork('one more')], [null, null], 'a sequence, and a fork, too many');
  same(a.length, 2, 'refusals change no length');
  for (const sequence of others) sequence?.dispose();
  same(JSON.stringify(cache.stats()), before, 'stats after the others were closed');
}

async function strangerRule(cache: KvCache, other: KvCache): Promise<void> {
  try {
    const foreign = other.sequence('a')!;
    foreign.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: foreign, tokens: 1 }]), 'a sequence of another cache');
    const own = cache.sequence('a')!;
    own.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: foreign, tokens: 1 }]), 'a stranger of the same id');
    own.dispose();
    own.dispose();
    same(cache.stats().sequences, 0, 'sequences after dispose');
    const again = cache.sequence('a')!;
    again.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: own, tokens: 1 }]), 'a closed sequence');
    own.dispose();
    same(again.reserve(1)?.start, 0, 'closing the old one again leaves the new one of its id');
  } finally {
    other.dispose();
  }
}

async function disposedRule(cache: KvCache): Promise<void> {
  const [a, b] = [cache.sequence('a')!, cache.sequence('b')!];
  a.dispose();
  cache.dispose();
  cache.dispose();
  for (const sequence of [a, b]) {
    const uses = {
      reserve: () => sequence.reserve(0),
      advance: () => sequence.advance(0),
      truncate: () => sequence.truncate(0),
      fork: () => sequence.fork('c'),
      range: () => sequence.range(0, 0),
    };
    for (const [name, use] of Object.entries(uses)) await refused('ERR_DISPOSED', use, `${name} after dispose`);
    sequence.dispose();
  }
  await refused('ERR_DISPOSED', () => cache.sequence('d'), 'sequence after dispose');
  await refused('ERR_DISPOSED', () => cache.batch([]), 'batch after dispose');
}
