import type { BlockTree } from '../prefix/block-tree.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { BlockSupply } from './block-supply.ts';
import { noState, type SavedState, type StateRole } from './state-list.ts';
import type { SequenceRows } from './step-layout.ts';
import type { Windows } from './windows.ts';

/** Which states are kept. */
export interface CheckpointRule {
  /** After each multiple of so many tokens; a multiple of the block size. */
  readonly every: number;
  /** Slots for them, beside two for each sequence. */
  readonly slots: number;
}

/** Where a step reads and saves states. Slot 0 of the pools is zeros, and block n of the group is slot n + 1. */
export interface StateLayout {
  readonly from: Int32Array;
  readonly at: Int32Array;
  readonly to: Int32Array;
}

/**
 * Gives sequences slots for states. A step reads one slot and writes others, so a state is kept by keeping its slot. Two for
 * each sequence are promised; checkpoints take what else there is, and make room again.
 */
export class StateSlots {
  readonly group: number;
  readonly #blockSize: number;
  readonly #rule: CheckpointRule;
  readonly #tree: BlockTree;
  readonly #supply: BlockSupply;
  readonly #windows: Windows;
  /** Slots that steps which are laid out will save checkpoints to: nobody can take them back. */
  #saving = 0;

  constructor(
    group: number,
    blockSize: number,
    rule: CheckpointRule,
    tree: BlockTree,
    supply: BlockSupply,
    windows: Windows,
  ) {
    this.group = group;
    this.#blockSize = blockSize;
    this.#rule = rule;
    this.#tree = tree;
    this.#supply = supply;
    this.#windows = windows;
  }

  /** Chooses what a step saves, and where. */
  layOut(rows: readonly SequenceRows[]): StateLayout {
    const from = Int32Array.from(rows, ({ sequence }) => sequence.states.current.slot + 1);
    for (const { sequence, tokens, keep } of rows) {
      if (keep.includes(sequence.length) && sequence.length > 0) sequence.states.current.role = 'kept';
      if (tokens === 0) continue;
      this.#abandon(sequence);
      const position = sequence.length + tokens;
      const role = this.#roleOf(sequence, position, keep);
      sequence.states.pending = [{ position, slot: this.#supply.take(this.group), role }];
    }
    const [at, to]: [number[], number[]] = [[], []];
    let row = 0;
    for (const { sequence, tokens, keep, only } of rows) {
      if (tokens > 0) {
        if (only !== 'end')
          sequence.states.pending = [...this.#within(sequence, tokens, keep), ...sequence.states.pending];
        for (const { position, slot } of sequence.states.pending) {
          at.push(row + position - sequence.length - 1);
          to.push(slot + 1);
        }
      }
      row += tokens;
    }
    return { from, at: Int32Array.from(at), to: Int32Array.from(to) };
  }

  /** Takes over what a step has saved. The length of the sequence is the new one. */
  advance(sequence: BlockSequence): void {
    const { states } = sequence;
    const { pending, current } = states;
    states.pending = [];
    this.#saving -= pending.length - 1;
    this.#pass(sequence, current);
    for (const state of pending.slice(0, -1)) this.#pass(sequence, state);
    states.current = pending.at(-1)!;
  }

  /** Goes back to a position that has a state. */
  truncate(sequence: BlockSequence, position: number): void {
    const { states } = sequence;
    if (position === states.current.position) return;
    this.#abandon(sequence);
    const state = states.at(position)!;
    if (states.current.slot >= 0) this.#tree.release(this.group, states.current.slot);
    while ((states.checkpoints.at(-1)?.position ?? -1) > position)
      this.#tree.release(this.group, states.checkpoints.pop()!.slot);
    if (position > 0) states.checkpoints.pop();
    states.current = state;
  }

  /** Gives a new sequence the states of another one up to a position that has one. */
  fork(copy: BlockSequence, source: BlockSequence, position: number): void {
    const same = (state: SavedState): SavedState => {
      if (state.slot < 0) return noState;
      this.#tree.retain(this.group, state.slot);
      return { ...state };
    };
    const { states } = source;
    copy.states.current = same(states.at(position)!);
    for (const one of states.checkpoints) if (one.position < position) copy.states.checkpoints.push(same(one));
  }

  /** Gives a new sequence a state that is listed. */
  begin(sequence: BlockSequence, slot: number, position: number): void {
    this.#tree.retain(this.group, slot);
    sequence.states.current = { position, slot, role: 'kept' };
  }

  close(sequence: BlockSequence): void {
    this.#abandon(sequence);
    for (const slot of sequence.states.held()) this.#tree.release(this.group, slot);
    sequence.states.current = noState;
    sequence.states.checkpoints.length = 0;
  }

  /** The largest length up to `length` that has a state. */
  restorable(sequence: BlockSequence, length: number): number {
    if (length >= sequence.states.current.position) return sequence.states.current.position;
    for (const position of sequence.states.positions()) if (position <= length) return position;
    return 0;
  }

  /** Drops the checkpoint that is missed least, the nearest to the one before it. @returns whether there was one */
  thinOut(sequences: Iterable<BlockSequence>): boolean {
    let longest: BlockSequence | undefined;
    let most = 0;
    for (const sequence of sequences) {
      const { length } = sequence.states.checkpoints;
      if (length > most) [longest, most] = [sequence, length];
    }
    if (!longest) return false;
    const { checkpoints } = longest.states;
    let [nearest, gap] = [0, Number.POSITIVE_INFINITY];
    for (const [i, { position }] of checkpoints.entries()) {
      const distance = position - (checkpoints[i - 1]?.position ?? 0);
      if (distance < gap) [nearest, gap] = [i, distance];
    }
    this.#drop(longest, nearest);
    return true;
  }

  /** What becomes of a state that is no longer the last. */
  #pass(sequence: BlockSequence, state: SavedState): void {
    if (state.slot < 0) return;
    if (state.role === 'passing') {
      this.#tree.release(this.group, state.slot);
      return;
    }
    const { checkpoints } = sequence.states;
    const last = checkpoints.findIndex(({ role }) => role === 'latest');
    checkpoints.push(state);
    if (state.role === 'latest' && last >= 0) this.#drop(sequence, last);
  }

  #drop(sequence: BlockSequence, index: number): void {
    const [{ position, slot, role }] = sequence.states.checkpoints.splice(index, 1) as [SavedState];
    this.#tree.release(this.group, slot);
    if (role === 'latest') this.#tree.forget(this.group, slot);
    this.#windows.forgetAround(sequence, position);
  }

  /** Gives back what a step that was laid out and not counted would have saved. */
  #abandon({ states }: BlockSequence): void {
    if (states.pending.length === 0) return;
    this.#saving -= states.pending.length - 1;
    for (const { slot } of states.pending) this.#tree.release(this.group, slot);
    states.pending = [];
  }

  /** Checkpoints inside a step, as far as there is memory for them. */
  #within(sequence: BlockSequence, tokens: number, keep: readonly number[]): SavedState[] {
    const [start, end] = [sequence.length, sequence.length + tokens];
    const positions = new Set(keep);
    positions.add(this.#promptEnd(sequence)).add(sequence.states.branch);
    positions.add(Math.floor(end / this.#blockSize) * this.#blockSize);
    for (let p = Math.floor(start / this.#rule.every + 1) * this.#rule.every; p < end; p += this.#rule.every)
      positions.add(p);
    const saves: SavedState[] = [];
    for (const position of [...positions].sort((a, b) => a - b)) {
      if (position <= start || position >= end) continue;
      if (this.#saving >= this.#rule.slots) break;
      const role = this.#roleOf(sequence, position, keep);
      const slot = role === 'kept' ? this.#supply.takeSpare(this.group) : this.#supply.takeUnused(this.group);
      if (slot === undefined) continue;
      this.#saving++;
      saves.push({ position, slot, role });
    }
    return saves;
  }

  #roleOf(sequence: BlockSequence, position: number, keep: readonly number[]): StateRole {
    if (
      keep.includes(position) ||
      position % this.#rule.every === 0 ||
      position === this.#promptEnd(sequence) ||
      position === sequence.states.branch
    )
      return 'kept';
    return position % this.#blockSize === 0 ? 'latest' : 'passing';
  }

  /** Where the last block of its prompt ends that others can find: at most all but the last token are found. */
  #promptEnd({ origin }: BlockSequence): number {
    return Math.max(0, Math.floor((origin.tokens.length - 1) / this.#blockSize) * this.#blockSize);
  }
}
