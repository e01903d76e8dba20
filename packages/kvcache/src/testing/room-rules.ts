import type { Device } from '@heddle/tensor';
import type { KvCache, KvSequence } from '../kv-cache.ts';
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
    rule('reserve finds room up to the bound, again and again, and writes nothing', reserveRule),
    rule('truncate takes lengths up to the present one', truncateRule),
    rule('a step has its rows one sequence after the other, and is counted once', layoutRule),
    rule('takes all sequences at their largest, no more, and all again after they are closed', fullRule),
    rule('refuses what does not fit, and nothing changes', refusalRule),
    rule('refuses sequences that are closed, or of another cache', (cache) =>
      strangerRule(cache, open(device(), sizes)),
    ),
    rule('after dispose, sequences and cache refuse everything but dispose', disposedRule),
  ];
}

function emptyRule(cache: KvCache, sizes: KvCacheSizes): void {
  same(cache.shape, sizes.shape, 'shape');
  holds(cache.maxSequences >= sizes.maxSequences, `maxSequences is at least ${sizes.maxSequences}`);
  holds(cache.maxSequenceTokens >= sizes.maxSequenceTokens, `maxSequenceTokens is at least ${sizes.maxSequenceTokens}`);
  const bounds: Record<string, number> = { ...cache.symbols, T: 1 };
  for (const [name, { shape }] of Object.entries(cache.inputs))
    for (const size of shape)
      holds(typeof size === 'number' || bounds[size] !== undefined, `input ${name}: ${size} has a bound in symbols`);
  same(cache.symbols['B'], cache.maxSequences, 'the bound of B is maxSequences');
  const { sequences, tokens, tokenCapacity, blocksUsed, blocksCached, bytes } = cache.stats();
  same(
    { sequences, tokens, blocksUsed, blocksCached },
    { sequences: 0, tokens: 0, blocksUsed: 0, blocksCached: 0 },
    'stats of an empty cache',
  );
  const least = sizes.maxSequences * sizes.maxSequenceTokens;
  holds(tokenCapacity >= least, `tokenCapacity is at least ${least}, got ${tokenCapacity}`);
  holds(bytes > 0, 'bytes are counted');
}

async function reserveRule(cache: KvCache): Promise<void> {
  const [a, b] = [opened(cache, 'a'), opened(cache, 'b')];
  const most = cache.maxSequenceTokens;
  for (const tokens of [2, 2, most, 1, 0]) same(a.reserve(tokens), true, `room for ${tokens} tokens`);
  same(a.length, 0, 'reserving writes nothing');
  same(a.reserve(most + 1), false, `room for ${most + 1} tokens`);
  same(b.reserve(most), true, 'room for another sequence');
  holds(cache.stats().blocksUsed >= 2, 'blocksUsed counts the blocks of both');
  for (const count of [-1, 0.5, Number.NaN]) await refused('ERR_ARGUMENT', () => a.reserve(count), `reserve(${count})`);
}

async function truncateRule(cache: KvCache): Promise<void> {
  const a = opened(cache, 'a');
  advance(cache, a, 4);
  for (const length of [5, -1, 1.5])
    await refused('ERR_ARGUMENT', () => a.truncate(length), `truncate(${length}) of 4`);
  for (const length of [4, 2, 0, 0]) {
    same(a.truncate(length), length, `what truncate(${length}) says`);
    same(a.length, length, `length after truncate(${length})`);
  }
  await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: a, tokens: 1 }]), 'rows where room was truncated');
  for (const length of [1, -1, 0.5]) await refused('ERR_ARGUMENT', () => a.fork('b', length), `fork of ${length} of 0`);
}

async function layoutRule(cache: KvCache): Promise<void> {
  const [a, b, c] = [opened(cache, 'a'), opened(cache, 'b'), opened(cache, 'c')];
  advance(cache, a, 3);
  a.reserve(1);
  b.reserve(2);
  const rows = [
    { sequence: b, tokens: 2 },
    { sequence: a, tokens: 1 },
    { sequence: c, tokens: 0 },
  ];
  const batch = cache.batch(rows);
  same(batch.positions, [0, 1, 3], 'positions of the rows');
  same(batch.segments, [0, 0, 1], 'sequences of the rows');
  same(Object.keys(batch.inputs).sort(), Object.keys(cache.inputs).sort(), 'inputs of a batch');
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
    for (const sequence of open) {
      holds(
        typeof sequence !== 'string' && sequence.reserve(maxSequenceTokens),
        `room for ${maxSequences} sequences of ${maxSequenceTokens} tokens`,
      );
      cache.checkIntegrity();
    }
    for (let extra = 0; extra <= cache.maxSequences - maxSequences; extra++) open.push(cache.sequence(`more${extra}`));
    same(open.at(-1), 'full', `no room for more than ${cache.maxSequences} sequences`);
    for (const sequence of open) if (typeof sequence !== 'string') sequence.dispose();
    same(JSON.stringify(cache.stats()), empty, 'stats after all were closed');
  }
}

async function refusalRule(cache: KvCache): Promise<void> {
  const a = opened(cache, 'a');
  advance(cache, a, 2);
  const before = JSON.stringify(cache.stats());
  const most = cache.maxSequenceTokens;
  same(a.reserve(most - 1), false, `room for 2 + ${most - 1} tokens`);
  await refused('ERR_ARGUMENT', () => cache.sequence('a'), 'a second sequence of the same id');
  await refused('ERR_ARGUMENT', () => a.fork('a'), 'a fork of the same id');
  for (const [start, end] of [
    [0, 3],
    [-1, 1],
    [2, 1],
    [0, 0.5],
  ] as const)
    await refused('ERR_ARGUMENT', () => a.range(start, end), `range(${start}, ${end}) of 2 tokens`);
  for (const prompt of [{ tokens: 5 }, { tokens: [1], namespace: 5 }, { tokens: [1], priority: Number.NaN }])
    await refused('ERR_ARGUMENT', () => cache.sequence('b', prompt as never), `a prompt of ${JSON.stringify(prompt)}`);
  same(JSON.stringify(cache.stats()), before, 'stats after refusals');
  const others = Array.from({ length: cache.maxSequences - 1 }, (_, i) => cache.sequence(`s${i}`));
  same([cache.sequence('one more'), a.fork('one more')], ['full', 'full'], 'a sequence, and a fork, too many');
  same(a.length, 2, 'refusals change no length');
  for (const sequence of others) if (typeof sequence !== 'string') sequence.dispose();
  same(JSON.stringify(cache.stats()), before, 'stats after the others were closed');
}

async function strangerRule(cache: KvCache, other: KvCache): Promise<void> {
  try {
    const foreign = opened(other, 'a');
    foreign.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: foreign, tokens: 1 }]), 'a sequence of another cache');
    const own = opened(cache, 'a');
    own.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: foreign, tokens: 1 }]), 'a stranger of the same id');
    own.dispose();
    own.dispose();
    same(cache.stats().sequences, 0, 'sequences after dispose');
    const again = opened(cache, 'a');
    again.reserve(1);
    await refused('ERR_ARGUMENT', () => cache.batch([{ sequence: own, tokens: 1 }]), 'a closed sequence');
    own.dispose();
    same(again.reserve(1), true, 'closing the old one again leaves the new one of its id');
  } finally {
    other.dispose();
  }
}

async function disposedRule(cache: KvCache): Promise<void> {
  const [a, b] = [opened(cache, 'a'), opened(cache, 'b')];
  a.dispose();
  cache.dispose();
  cache.dispose();
  for (const sequence of [a, b]) {
    const uses = {
      reserve: () => sequence.reserve(0),
      know: () => sequence.know([]),
      truncate: () => sequence.truncate(0),
      fork: () => sequence.fork('c'),
      range: () => sequence.range(0, 0),
    };
    for (const [name, use] of Object.entries(uses)) await refused('ERR_DISPOSED', use, `${name} after dispose`);
    sequence.dispose();
  }
  await refused('ERR_DISPOSED', () => cache.sequence('d'), 'sequence after dispose');
  await refused('ERR_DISPOSED', () => cache.match({ tokens: [1] }), 'match after dispose');
  await refused('ERR_DISPOSED', () => cache.batch([]), 'batch after dispose');
}

/** An open sequence. */
function opened(cache: KvCache, id: string): KvSequence {
  const sequence = cache.sequence(id);
  holds(typeof sequence !== 'string', `there is room for the sequence ${id}, got '${String(sequence)}'`);
  return sequence;
}

/** Counts tokens as written that no step computes. */
function advance(cache: KvCache, sequence: KvSequence, tokens: number): void {
  same(sequence.reserve(tokens), true, `room for ${tokens} tokens`);
  cache.batch([{ sequence, tokens }]).advance();
}
