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

  constructor(groups: readonly Group[], blockSize: number, tree: BlockTree, pools: StorePools, supply: BlockSupply) {
    this.#groups = groups;
    this.#blockSize = blockSize;
    this.#tree = tree;
    this.#pools = pools;
    this.#supply = supply;
  }

  /** Room for tokens up to `end` in the group that keeps everything. Windows and states find theirs in each step. */
  grow(sequence: BlockSequence, end: number): boolean {
    const group = this.#groups.findIndex(({ kind }) => kind === 'all');
    if (group < 0) return true;
    const list = sequence.lists[group]!;
    const { pool } = this.#groups[group]!;
    const columns = Math.ceil(end / this.#blockSize) - list.end;
    let shared = end > sequence.length && this.writesShared(sequence, group);
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
}
