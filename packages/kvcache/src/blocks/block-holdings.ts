import { CacheIntegrityError } from '../errors.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import type { StorePools } from '../storage/store-pools.ts';
import type { BlockList } from './block-list.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { Group } from './group.ts';

/** Gives sequences blocks and takes them back: growth, copies of shared blocks, windows that slide. */
export class BlockHoldings {
  readonly groups: readonly Group[];
  readonly #blockSize: number;
  readonly #tree: BlockTree;
  readonly #pools: StorePools;
  readonly #sequences: () => Iterable<BlockSequence>;

  constructor(
    groups: readonly Group[],
    blockSize: number,
    tree: BlockTree,
    pools: StorePools,
    sequences: () => Iterable<BlockSequence>,
  ) {
    this.groups = groups;
    this.#blockSize = blockSize;
    this.#tree = tree;
    this.#pools = pools;
    this.#sequences = sequences;
  }

  /** Room for tokens up to `end` in the groups that keep everything, all or nothing. Windows find theirs in each step. */
  grow(sequence: BlockSequence, end: number): boolean {
    for (const [group, { windowed }] of this.groups.entries())
      if (!windowed && !this.#growFull(sequence, group, end)) return false; // there is one such group at most
    return true;
  }

  #growFull(sequence: BlockSequence, group: number, end: number): boolean {
    const list = sequence.lists[group]!;
    const { pool } = this.groups[group]!;
    const columns = Math.ceil(end / this.#blockSize) - list.end;
    let shared = end > sequence.length && this.#writesShared(sequence, group);
    const available = pool.freeCount + this.#tree.cached(group);
    if (columns + (shared ? 1 : 0) > available) {
      const open = list.table[Math.floor(sequence.length / this.#blockSize)]!;
      // nobody else reads it: it is taken over in place of a copy
      if (!shared || pool.references(open) > 2 || columns > available) return false;
      this.#tree.disown(group, open);
      if (pool.references(open) > 1) return false;
      shared = false;
    }
    if (shared) this.#copyOpen(sequence, group);
    for (let column = 0; column < columns; column++) list.push(this.#take(group));
    return true;
  }

  /** What a step of `tokens` rows writes to in the groups with windows. */
  prepareWindows(sequence: BlockSequence, tokens: number): void {
    if (tokens === 0) return;
    const end = Math.ceil((sequence.length + tokens) / this.#blockSize);
    for (const [group, { windowed }] of this.groups.entries()) {
      if (!windowed) continue;
      const list = sequence.lists[group]!;
      if (this.#writesShared(sequence, group)) this.#copyOpen(sequence, group);
      while (list.end < end) list.push(this.#take(group));
    }
  }

  /** Whether the block that the next token goes to has others that read it. */
  #writesShared(sequence: BlockSequence, group: number): boolean {
    if (sequence.length % this.#blockSize === 0) return false;
    const column = Math.floor(sequence.length / this.#blockSize);
    const list = sequence.lists[group]!;
    return list.holds(column) && this.groups[group]!.pool.references(list.table[column]!) > 1;
  }

  /** Copies the block that the next token goes to. */
  #copyOpen(sequence: BlockSequence, group: number): void {
    const column = Math.floor(sequence.length / this.#blockSize);
    const { table } = sequence.lists[group]!;
    const block = this.#take(group);
    sequence.follow(this.copy(group, table[column]!, block, sequence.length % this.#blockSize));
    this.#tree.release(group, table[column]!);
    sequence.lists[group]!.table[column] = block;
    sequence.version++;
  }

  /** Copies the first `tokens` rows of a block to another one, after everything that was submitted before. */
  copy(group: number, from: number, to: number, tokens: number): Promise<void> {
    const slots = (block: number) => Int32Array.from({ length: tokens }, (_, i) => block * this.#blockSize + i);
    return this.#pools.copy(group, slots(from), slots(to));
  }

  /** Gives a list's columns from `column` on back. */
  cut(list: BlockList, group: number, column: number): void {
    for (const held of list.held(column)) this.#tree.release(group, list.table[held]!);
    list.end = Math.min(list.end, column);
    if (list.gone > list.end) list.gone = Math.max(list.kept, list.end);
  }

  /**
   * Gives back what is out of the windows of what comes next, but for `spare` rows that a truncation may want again. What may
   * still be listed for others is kept until it is known, unless `all`.
   */
  slide(sequence: BlockSequence, all: boolean = false): void {
    for (const [group, { window }] of this.groups.entries()) {
      if (window === undefined) continue;
      const list = sequence.lists[group]!;
      const unseen = Math.floor((sequence.length - window + 1 - this.#blockSize) / this.#blockSize);
      const known = sequence.listed && !all ? sequence.path.length : list.end;
      for (let end = Math.min(unseen, known, list.end); list.gone < end; list.gone++) {
        this.#tree.release(group, list.table[list.gone]!);
        list.table[list.gone] = 0;
      }
    }
  }

  /** The largest length up to `length` whose rows the windows still have. */
  restorable(sequence: BlockSequence, length: number): number {
    let found = length;
    for (const [group, { window }] of this.groups.entries()) {
      if (window === undefined) continue;
      const { gone, kept } = sequence.lists[group]!;
      if (gone > kept && found - window + 1 < gone * this.#blockSize) found = Math.min(found, kept * this.#blockSize);
    }
    return found;
  }

  /** A block of a group, held once: a free one, or that of cached tokens. */
  #take(group: number): number {
    const { pool, windowed } = this.groups[group]!;
    let block = pool.take();
    while (block < 0 && this.#tree.evict(group)) block = pool.take();
    if (block < 0 && windowed) {
      for (const sequence of this.#sequences()) this.slide(sequence, true);
      block = pool.take();
      while (block < 0 && this.#tree.evict(group)) block = pool.take();
    }
    if (block < 0) throw new CacheIntegrityError(`cache: group ${group} has no block left, though one was promised`);
    return block;
  }
  /** The same, or undefined where there is none. */
  takeSpare(group: number): number | undefined {
    const { pool, windowed } = this.groups[group]!;
    return windowed || pool.freeCount + this.#tree.cached(group) > 0 ? this.#take(group) : undefined;
  }
}
