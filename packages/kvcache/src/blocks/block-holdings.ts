import type { BlockTree } from '../prefix/block-tree.ts';
import type { StorePools } from '../storage/store-pools.ts';
import type { BlockList } from './block-list.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { BlockSupply } from './block-supply.ts';
import type { Group } from './group.ts';

/** Gives sequences blocks of rows and takes them back: growth, and copies of blocks that others read. */
export class BlockHoldings {
  readonly #groups: readonly Group[];
  readonly #blockSize: number;
  readonly #tree: BlockTree;
  readonly #pools: StorePools;
  readonly #supply: BlockSupply;
  /** The group that keeps everything; -1 where there is none. */
  readonly #full: number;
  /** Is told before a block that was forgotten may be written to. */
  beforeWriting: (() => void) | undefined;

  constructor(groups: readonly Group[], blockSize: number, tree: BlockTree, pools: StorePools, supply: BlockSupply) {
    this.#groups = groups;
    this.#blockSize = blockSize;
    this.#tree = tree;
    this.#pools = pools;
    this.#supply = supply;
    this.#full = groups.findIndex(({ kind }) => kind === 'all');
  }

  /** Room for tokens up to `end` in the group that keeps everything. Windows and states find theirs in each step. */
  grow(sequence: BlockSequence, end: number): boolean {
    const group = this.#full;
    if (group < 0) return true;
    const list = sequence.lists[group]!;
    const { pool } = this.#groups[group]!;
    const columns = Math.ceil(end / this.#blockSize) - list.end;
    let shared = end > sequence.length && this.writesShared(sequence, group);
    if (columns <= 0 && !shared) return true;
    const available = this.#supply.available(group);
    if (columns + (shared ? 1 : 0) > available) {
      const open = list.table[Math.floor(sequence.length / this.#blockSize)]!;
      // nobody else reads it: it is taken over in place of a copy
      if (!shared || pool.references(open) > 2 || columns > available) return false;
      this.#tree.disown(group, open);
      if (pool.references(open) > 1) return false;
      shared = false;
    }
    if (shared) this.copyOpen(sequence, group);
    for (let column = 0; column < columns; column++) list.push(this.#supply.take(group));
    return true;
  }

  /** Whether the block that the next token goes to has others that read it. */
  writesShared(sequence: BlockSequence, group: number): boolean {
    if (sequence.length % this.#blockSize === 0) return false;
    const column = Math.floor(sequence.length / this.#blockSize);
    const list = sequence.lists[group]!;
    return list.holds(column) && this.#groups[group]!.pool.references(list.table[column]!) > 1;
  }

  /** Copies the block that the next token goes to. */
  copyOpen(sequence: BlockSequence, group: number): void {
    const column = Math.floor(sequence.length / this.#blockSize);
    const { table } = sequence.lists[group]!;
    const block = this.#supply.take(group);
    sequence.follow(this.copy(group, table[column]!, block, sequence.length % this.#blockSize));
    this.#tree.release(group, table[column]!);
    sequence.lists[group]!.table[column] = block;
    sequence.version++;
  }

  /**
   * A block for a copy of the open one in each group, for a fork of `length` tokens; -1 where there is nothing to copy. Undefined,
   * and nothing taken, where there is no room.
   */
  spareFor(source: BlockSequence, length: number): readonly number[] | undefined {
    const open = Math.floor(length / this.#blockSize);
    const copies = source.lists.map((list) => length % this.#blockSize > 0 && list.holds(open));
    if (copies[this.#full] && this.#supply.available(this.#full) === 0) return undefined;
    return copies.map((copies, group) => (copies ? this.#supply.take(group) : -1));
  }

  /**
   * Gives a new sequence the blocks of another one up to `length`. Its open block is copied at once, so that neither has to find
   * room for a copy when it writes.
   * @param spare a block for that in each group; -1 where there is nothing to copy
   */
  share(copy: BlockSequence, source: BlockSequence, length: number, spare: readonly number[]): void {
    const last = Math.floor(length / this.#blockSize);
    for (const [group, list] of copy.lists.entries()) {
      const from = source.lists[group]!;
      for (let column = 0; column < last; column++) {
        if (from.holds(column)) this.#tree.retain(group, from.table[column]!);
        list.push(from.holds(column) ? from.table[column]! : -1);
      }
      list.gone = Math.max(list.kept, Math.min(from.gone, list.end));
      if (spare[group]! < 0) continue;
      copy.follow(this.copy(group, from.table[last]!, spare[group]!, length % this.#blockSize));
      list.push(spare[group]!);
    }
  }

  /** Copies the first `tokens` rows of a block to another one, after everything that was submitted before. */
  copy(group: number, from: number, to: number, tokens: number): Promise<void> {
    this.beforeWriting?.();
    const slots = (block: number) => Int32Array.from({ length: tokens }, (_, i) => block * this.#blockSize + i);
    return this.#pools.copy(group, slots(from), slots(to));
  }

  /** Gives one column of a list back. */
  drop(list: BlockList, group: number, column: number): void {
    this.#tree.release(group, list.table[column]!);
    list.table[column] = -1;
  }

  /** Gives a list's columns from `column` on back. */
  cut(list: BlockList, group: number, column: number): void {
    for (const held of list.held(column)) this.#tree.release(group, list.table[held]!);
    list.end = Math.min(list.end, column);
    if (list.gone > list.end) list.gone = Math.max(list.kept, list.end);
  }
}
