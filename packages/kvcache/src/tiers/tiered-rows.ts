import type { Device } from '@heddle/tensor';
import { BlockPool } from '../blocks/block-pool.ts';
import type { BlockSequence } from '../blocks/block-sequence.ts';
import { EvictedTokensError } from '../errors.ts';
import type { HostKv } from '../kv-cache.ts';
import { isRows, type KvShape, storeBytes } from '../kv-shape.ts';
import { StorePools } from '../storage/store-pools.ts';
import { BlockArchive } from './block-archive.ts';
import { copyRows, emptyRows, sliceRows } from './host-rows.ts';
import { hostRows, joinedRanges } from './ranges.ts';
import type { RetainOptions } from './retain.ts';
import { type KvTierStats, TierCounts, type TierName, tierNames } from './tier-counts.ts';
import type { ColdBlock } from './tier-list.ts';

/** A block that leaves the hot or the warm part. */
interface Leaving {
  readonly column: number;
  readonly from: 'hot' | 'warm';
  readonly block: number;
}

/** Moves blocks of rows down the tiers of a cache, and reads them where they are. */
export class TieredRows {
  readonly #shape: KvShape;
  readonly #hot: StorePools;
  readonly #warm: StorePools;
  readonly #warmPool: BlockPool;
  readonly #archive: BlockArchive | undefined;
  readonly #blockSize: number;
  readonly #limits: Readonly<Record<'hot' | 'warm' | 'cold', number>>;
  readonly #counts = new TierCounts();
  readonly #coldBytes: number;

  /** @throws OutOfMemoryError, then nothing was allocated */
  constructor(
    device: Device,
    shape: KvShape,
    hot: StorePools,
    blockSize: number,
    maxSequences: number,
    retain: RetainOptions,
  ) {
    const { warm = 0, cold = 0, store, onNote } = retain;
    this.#shape = shape;
    this.#hot = hot;
    this.#blockSize = blockSize;
    this.#limits = { hot: retain.hot, warm, cold };
    this.#warmPool = new BlockPool((maxSequences * warm) / blockSize);
    const slots = warm > 0 ? [maxSequences * warm] : [1];
    // without a warm part nothing is allocated for it
    const kept = warm > 0 ? shape : { layers: shape.layers.map(() => ({})) };
    this.#warm = new StorePools(
      device,
      kept,
      () => 0,
      slots,
      blockSize,
      () => ({ bits: 8 }),
    );
    this.#archive = store && new BlockArchive(store, shape, blockSize, onNote);
    this.#coldBytes = shape.layers
      .flatMap((layer) => Object.values(layer))
      .reduce((sum, one) => sum + (isRows(one) ? storeBytes(one) : 0), 0);
  }

  get byteLength(): number {
    return this.#limits.warm > 0 ? this.#warm.byteLength : 0;
  }

  /** Takes blocks that leave the hot part of a sequence, ascending, before they are given back. */
  leave(sequence: BlockSequence, blocks: readonly { readonly column: number; readonly block: number }[]): void {
    if (blocks.length === 0) return;
    const { warm } = sequence.tiers;
    const tokens = blocks.length * this.#blockSize;
    this.#counts.evictions.hot += tokens;
    const all: Leaving[] = [
      ...[...warm].map(([column, block]): Leaving => ({ column, from: 'warm', block })),
      ...blocks.map(({ column, block }): Leaving => ({ column, from: 'hot', block })),
    ];
    const out = all.slice(0, Math.max(0, all.length - this.#limits.warm / this.#blockSize));
    this.#toHost(sequence, out);
    for (const { column, from, block } of out) {
      if (from === 'warm') {
        warm.delete(column);
        this.#warmPool.release(block);
      }
      if (this.#limits.warm > 0) this.#counts.evictions.warm += this.#blockSize;
    }
    const into = all.slice(out.length).filter(({ from }) => from === 'hot');
    if (into.length === 0) return;
    const places = into.map(({ column }) => {
      const block = this.#warmPool.take();
      warm.set(column, block);
      return block;
    });
    sequence.follow(this.#warm.copyFrom(this.#hot, this.#slots(into.map(({ block }) => block)), this.#slots(places)));
  }

  /** Forgets what is at and behind a column: the sequence has gone back, or is closed. */
  cut({ tiers: { warm, cold, stored } }: BlockSequence, from: number): void {
    for (const [column, block] of warm)
      if (column >= from) {
        warm.delete(column);
        this.#warmPool.release(block);
      }
    for (const column of cold.keys()) if (column >= from) cold.delete(column);
    for (const [column, block] of stored)
      if (column >= from) {
        stored.delete(column);
        this.#archive!.release(block);
      }
  }

  /** Gives a new sequence what another one has before a column. */
  fork(copy: BlockSequence, { tiers }: BlockSequence, before: number): void {
    for (const [column, block] of tiers.warm)
      if (column < before) {
        this.#warmPool.retain(block);
        copy.tiers.warm.set(column, block);
      }
    for (const [column, block] of tiers.cold) if (column < before) copy.tiers.cold.set(column, block);
    for (const [column, block] of tiers.stored)
      if (column < before) {
        block.holders++;
        copy.tiers.stored.set(column, block);
      }
  }

  /** Copies positions [start, end) to the host, from wherever they are. @throws EvictedTokensError */
  async range(sequence: BlockSequence, start: number, end: number): Promise<HostKv> {
    const { tiers, lists, id } = sequence;
    const table = lists[0]!;
    const rows = emptyRows(this.#shape, end - start);
    const missing: [number, number][] = [];
    const device: Record<'hot' | 'warm', { slots: number[]; places: number[] }> = {
      hot: { slots: [], places: [] },
      warm: { slots: [], places: [] },
    };
    const later: Promise<void>[] = [];
    for (let position = start; position < end; ) {
      const column = Math.floor(position / this.#blockSize);
      const offset = position - column * this.#blockSize;
      const count = Math.min(this.#blockSize - offset, end - position);
      const place = position - start;
      const hot = table.holds(column);
      const block = hot ? table.table[column] : tiers.warm.get(column);
      const cold = tiers.cold.get(column);
      const stored = tiers.stored.get(column);
      const lose = () => missing.push([position, position + count]);
      if (block !== undefined) {
        const part = device[hot ? 'hot' : 'warm'];
        for (let i = 0; i < count; i++) {
          part.slots.push(block * this.#blockSize + offset + i);
          part.places.push(place + i);
        }
        this.#counts.hits[hot ? 'hot' : 'warm'] += count;
      } else if (cold) {
        this.#counts.hits.cold += count;
        later.push(hostRows(cold).then((from) => copyRows(this.#shape, from, offset, rows, place, count)));
      } else if (stored) {
        const at = position;
        later.push(
          this.#archive!.read(stored).then((from) => {
            if (from) copyRows(this.#shape, from, offset, rows, place, count);
            else missing.push([at, at + count]);
            if (from) this.#counts.hits.store += count;
            else this.#counts.missing += count;
          }),
        );
      } else {
        lose();
        this.#counts.missing += count;
      }
      position += count;
    }
    for (const [name, pools] of [
      ['hot', this.#hot],
      ['warm', this.#warm],
    ] as const) {
      const { slots, places } = device[name];
      if (slots.length === 0) continue;
      later.push(
        pools.read([Int32Array.from(slots)]).then((from) => {
          for (const [i, place] of places.entries()) copyRows(this.#shape, from, i, rows, place, 1);
        }),
      );
    }
    await Promise.all(later);
    if (missing.length === 0) return rows;
    const lost = joinedRanges(missing);
    throw new EvictedTokensError(
      `range: ${id} has evicted the positions ${lost.map(([from, to]) => `[${from}, ${to})`).join(', ')}`,
      lost,
    );
  }

  /** Resolves when the store has taken what it was given, and deleted what it was told to. */
  async settled(): Promise<void> {
    await this.#archive?.settled();
  }

  stats(sequences: readonly BlockSequence[], hotBytes: number): readonly KvTierStats[] {
    const tokens = (count: (sequence: BlockSequence) => number) =>
      sequences.reduce((sum, one) => sum + count(one) * this.#blockSize, 0);
    const lengths: Record<TierName, number> = {
      hot: sequences.reduce(
        (sum, { length, lists: [list] }) => sum + length - (list!.gone - list!.kept) * this.#blockSize,
        0,
      ),
      warm: tokens(({ tiers }) => tiers.warm.size),
      cold: tokens(({ tiers }) => tiers.cold.size),
      store: tokens(({ tiers }) => [...tiers.stored.values()].filter(({ lost }) => !lost).length),
    };
    const bytes = {
      hot: hotBytes,
      warm: this.byteLength,
      cold: lengths.cold * this.#coldBytes,
      store: this.#archive?.bytes ?? 0,
    };
    const maxLengths = { ...this.#limits, store: Number.POSITIVE_INFINITY };
    const has = (name: TierName) => name === 'hot' || (name === 'store' ? this.#archive : maxLengths[name] > 0);
    return tierNames.filter(has).map((name) => {
      const [hits, misses] = [this.#counts.hits[name], this.#counts.misses(name)];
      return {
        name: name === 'store' ? this.#archive!.name : name,
        length: lengths[name],
        maxLength: maxLengths[name],
        hits,
        misses,
        hitRate: hits + misses > 0 ? hits / (hits + misses) : 0,
        evictions: this.#counts.evictions[name],
        promotions: this.#counts.promotions[name],
        bytes: bytes[name],
      };
    });
  }

  /** @throws CacheIntegrityError */
  check(sequences: Iterable<BlockSequence>): void {
    const holders = new Int32Array(this.#warmPool.blocks);
    for (const { tiers } of sequences) for (const block of tiers.warm.values()) holders[block]!++;
    this.#warmPool.check(1, holders);
  }

  dispose(): void {
    this.#warm.dispose();
  }

  /** Reads blocks to the host, for the cold part or the store; without either they are evicted. */
  #toHost(sequence: BlockSequence, out: readonly Leaving[]): void {
    if (out.length === 0) return;
    const { cold, stored } = sequence.tiers;
    const most = this.#limits.cold / this.#blockSize;
    const beyond = Math.max(0, cold.size + out.length - most);
    const moving = [...cold].slice(0, beyond);
    // what passes through at once is read only if somebody takes it
    const passing = out.slice(0, Math.max(0, beyond - moving.length));
    const staying = out.slice(passing.length);
    const read = this.#archive ? out : staying;
    const rows = this.#read(read);
    const blockOf = (one: Leaving) => rows[read.indexOf(one)]!;
    for (const [column, block] of [...moving, ...passing.map((one) => [one.column, blockOf(one)] as const)]) {
      cold.delete(column);
      if (most > 0) this.#counts.evictions.cold += this.#blockSize;
      if (this.#archive) stored.set(column, this.#archive.write(block.rows));
    }
    for (const one of staying) cold.set(one.column, blockOf(one));
  }

  /** The rows of blocks, as they are now. */
  #read(blocks: readonly Leaving[]): ColdBlock[] {
    const found = new Map<Leaving, ColdBlock>();
    for (const from of ['warm', 'hot'] as const) {
      const some = blocks.filter((one) => one.from === from);
      if (some.length === 0) continue;
      const pools = from === 'warm' ? this.#warm : this.#hot;
      const reading = pools.read([this.#slots(some.map(({ block }) => block))]);
      for (const [i, one] of some.entries()) {
        const rows = reading.then((all) => {
          cold.rows = sliceRows(this.#shape, all, i * this.#blockSize, this.#blockSize);
          return cold.rows;
        });
        rows.catch(() => {}); // whoever asks for them hears of it
        const cold: ColdBlock = { rows };
        found.set(one, cold);
      }
    }
    return blocks.map((one) => found.get(one)!);
  }

  #slots(blocks: readonly number[]): Int32Array {
    return Int32Array.from(
      { length: blocks.length * this.#blockSize },
      (_, i) => blocks[Math.floor(i / this.#blockSize)]! * this.#blockSize + (i % this.#blockSize),
    );
  }
}
