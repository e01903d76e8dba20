import { CacheIntegrityError } from '../errors.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import type { BlockHoldings } from './block-holdings.ts';
import type { BlockList } from './block-list.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { BlockSupply } from './block-supply.ts';
import type { Group } from './group.ts';

/** A block of a sequence, and its column. */
interface HeldBlock {
  readonly column: number;
  readonly block: number;
}
type LeaveBlocks = (sequence: BlockSequence, blocks: readonly HeldBlock[]) => void;

/** Groups of rows that are read for a while only: what leaves the window is given back, but for what a checkpoint needs. */
export class Windows {
  readonly #groups: readonly (Group & { readonly index: number; readonly window: number })[];
  readonly #stateGroup: number;
  readonly #blockSize: number;
  readonly #tree: BlockTree;
  readonly #supply: BlockSupply;
  readonly #holdings: BlockHoldings;
  readonly #leave: LeaveBlocks | undefined;

  /** @param leave is told of blocks before they are given back */
  constructor(
    groups: readonly Group[],
    blockSize: number,
    tree: BlockTree,
    supply: BlockSupply,
    holdings: BlockHoldings,
    leave?: LeaveBlocks,
  ) {
    this.#leave = leave;
    this.#groups = groups.flatMap((group, index) =>
      group.window === undefined ? [] : [{ ...group, window: group.window, index }],
    );
    this.#stateGroup = groups.findIndex(({ kind }) => kind === 'state');
    this.#blockSize = blockSize;
    this.#tree = tree;
    this.#supply = supply;
    this.#holdings = holdings;
  }

  /** Whether there are any. */
  get any(): boolean {
    return this.#groups.length > 0;
  }

  /** Blocks that a step of `tokens` rows writes to. */
  prepare(sequence: BlockSequence, tokens: number): void {
    if (tokens === 0) return;
    const end = Math.ceil((sequence.length + tokens) / this.#blockSize);
    for (const { index } of this.#groups) {
      const list = sequence.lists[index]!;
      if (this.#holdings.writesShared(sequence, index)) this.#holdings.copyOpen(sequence, index);
      while (list.end < end) list.push(this.#supply.take(index));
    }
  }

  /**
   * Gives back what is out of the windows of what comes next, but for a block of rows that a truncation may want again. What may
   * still be listed for others is kept until it is known, unless `all`.
   */
  slide(sequence: BlockSequence, all: boolean = false): void {
    for (const { index, window } of this.#groups) {
      const list = sequence.lists[index]!;
      const unseen = Math.floor((sequence.length - window + 1 - this.#blockSize) / this.#blockSize);
      const known = sequence.listed && !all ? sequence.path.length : list.end;
      const end = Math.min(unseen, known, list.end);
      if (list.gone < end) this.#leave?.(sequence, columnsOf(list, list.gone, end));
      for (; list.gone < end; list.gone++) this.#giveBack(sequence, index, list.gone);
    }
  }

  /** Makes open sequences give back all that is out of the windows. @returns whether there are blocks of a group now */
  reclaim(sequences: Iterable<BlockSequence>, group: number): boolean {
    for (const sequence of sequences) this.slide(sequence, true);
    return this.#supply.available(group) > 0;
  }

  /** Gives back what only a checkpoint at this position has needed, after it is gone. */
  forgetAround(sequence: BlockSequence, position: number): void {
    for (const { index } of this.#groups) {
      const { kept, gone } = sequence.lists[index]!;
      const [first, end] = this.#seenFrom(index, position);
      for (let column = Math.max(first, kept); column < Math.min(end, gone); column++)
        this.#giveBack(sequence, index, column);
    }
  }

  /** The largest length up to `length` whose rows the windows still have, where nothing else is needed. */
  restorable(sequence: BlockSequence, length: number): number {
    let found = length;
    for (const { index, window } of this.#groups) {
      const { gone, kept } = sequence.lists[index]!;
      if (gone > kept && found - window + 1 < gone * this.#blockSize) found = Math.min(found, kept * this.#blockSize);
    }
    return found;
  }

  /** @throws CacheIntegrityError where rows are missing that are read next, or after a checkpoint */
  check(sequence: BlockSequence): void {
    const { id, length, lists, states } = sequence;
    for (const { index } of this.#groups) {
      const { gone, kept } = lists[index]!;
      if (gone > Math.max(kept, this.#seenFrom(index, length)[0]))
        throw new CacheIntegrityError(`cache: ${id} counts ${gone} columns as behind the window of group ${index}`);
      for (let column = kept; column < gone; column++)
        if (lists[index]!.holds(column) && !this.#needed(sequence, index, column))
          throw new CacheIntegrityError(`cache: ${id} keeps column ${column} of group ${index}, which nothing reads`);
    }
    for (const position of [length, ...states.checkpoints.map((one) => one.position)])
      if (!this.#has(sequence, position))
        throw new CacheIntegrityError(`cache: ${id} has lost rows that are read after ${position} tokens`);
  }

  #has(sequence: BlockSequence, position: number): boolean {
    return this.#groups.every(({ index }) => {
      const list = sequence.lists[index]!;
      const [first, end] = this.#seenFrom(index, position);
      for (let column = first; column < end; column++) if (!list.holds(column)) return false;
      return true;
    });
  }

  /** After a sequence has gone back to `position`: what is in its windows there is no longer behind them. */
  goBack(sequence: BlockSequence, position: number): void {
    for (const { index } of this.#groups) {
      const list = sequence.lists[index]!;
      list.gone = Math.max(list.kept, Math.min(list.gone, list.end, this.#seenFrom(index, position)[0]));
    }
  }

  /** Columns [first, end) with rows that are read, or written, after `position` tokens. */
  #seenFrom(index: number, position: number): [first: number, end: number] {
    const { window } = this.#groups.find((group) => group.index === index)!;
    const first = Math.max(0, Math.floor((position - window + 1) / this.#blockSize));
    return [first, Math.ceil(position / this.#blockSize)];
  }

  #giveBack(sequence: BlockSequence, index: number, column: number): void {
    const list = sequence.lists[index]!;
    if (!list.holds(column)) return;
    if (this.#needed(sequence, index, column)) return;
    const block = list.table[column]!;
    list.table[column] = -1;
    this.#tree.release(index, block);
    if (this.#stateGroup >= 0 && !this.#leadsToState(sequence, index, column)) this.#tree.forget(index, block);
  }

  /** Whether a checkpoint reads this column. */
  #needed({ states }: BlockSequence, index: number, column: number): boolean {
    return states.checkpoints.some(({ position }) => {
      const [first, end] = this.#seenFrom(index, position);
      return first <= column && column < end;
    });
  }

  /** Whether a prompt may begin so that it reads this column: a state is listed within the window after it. */
  #leadsToState({ path }: BlockSequence, index: number, column: number): boolean {
    for (let at = column; at < path.length && this.#seenFrom(index, (at + 1) * this.#blockSize)[0] <= column; at++)
      if (path[at]!.blocks[this.#stateGroup]! >= 0) return true;
    return false;
  }
}

function columnsOf(list: BlockList, start: number, end: number): HeldBlock[] {
  const blocks: HeldBlock[] = [];
  for (let column = start; column < end; column++)
    if (list.holds(column)) blocks.push({ column, block: list.table[column]! });
  return blocks;
}
