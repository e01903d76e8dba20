import { ArgumentError } from '@heddle/tensor';
import type { PrefixSharing } from '../prefix/prefix-sharing.ts';
import type { TieredRows } from '../tiers/tiered-rows.ts';
import type { BlockHoldings } from './block-holdings.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { StateSlots } from './state-slots.ts';
import type { Windows } from './windows.ts';

export interface SequenceParts {
  readonly blockSize: number;
  readonly prefixes: PrefixSharing;
  readonly holdings: BlockHoldings;
  readonly windows: Windows;
  readonly states: StateSlots | undefined;
  readonly tiers: TieredRows | undefined;
}

/** What becomes of all that a sequence has when it is cut, forked or ended. */
export class SequenceChanges {
  readonly #parts: SequenceParts;

  constructor(parts: SequenceParts) {
    this.#parts = parts;
  }

  /** Goes back to a length up to the one asked that can be restored. */
  truncate(sequence: BlockSequence, asked: number): void {
    const { blockSize, prefixes, holdings, windows, states, tiers } = this.#parts;
    const length = (states ?? windows).restorable(sequence, asked);
    prefixes.cut(sequence, length);
    states?.truncate(sequence, length);
    for (const [group, list] of sequence.lists.entries()) holdings.cut(list, group, Math.ceil(length / blockSize));
    if (states) windows.goBack(sequence, length);
    tiers?.cut(sequence, Math.ceil(length / blockSize));
    sequence.length = length;
    sequence.reserved = length;
    sequence.version++;
  }

  /** A sequence of `open` with the same tokens, up to a length up to the one asked; undefined where there is no room. */
  fork(source: BlockSequence, asked: number, open: () => BlockSequence): BlockSequence | undefined {
    const { blockSize, prefixes, holdings, windows, states, tiers } = this.#parts;
    const length = (states ?? windows).restorable(source, asked);
    const spare = holdings.spareFor(source, length);
    if (!spare) return undefined;
    const copy = open();
    copy.inherit(source);
    holdings.share(copy, source, length, spare);
    copy.length = length;
    copy.reserved = length;
    states?.fork(copy, source, length);
    tiers?.fork(copy, source, Math.floor(length / blockSize));
    if (states) windows.goBack(copy, length);
    prefixes.inherit(copy, source);
    return copy;
  }

  /** Forgets full blocks whose columns are not named. @returns tokens that are left @throws ArgumentError unless it `drops` */
  keep(sequence: BlockSequence, columns: ReadonlySet<number>, drops: boolean): number {
    if (!drops) throw new ArgumentError('keep: takes a cache that was opened with drops');
    const { blockSize, holdings } = this.#parts;
    const full = Math.floor(sequence.length / blockSize);
    let left = sequence.length % blockSize;
    for (let column = 0; column < full; column++) {
      if (!sequence.lists[0]!.holds(column)) continue;
      if (columns.has(column)) left += blockSize;
      else holdings.drop(sequence.lists[0]!, 0, column);
    }
    sequence.version++;
    return left;
  }

  close(sequence: BlockSequence): void {
    const { prefixes, holdings, states, tiers } = this.#parts;
    prefixes.end(sequence);
    for (const [group, list] of sequence.lists.entries()) holdings.cut(list, group, 0);
    states?.close(sequence);
    tiers?.cut(sequence, 0);
    prefixes.clean(sequence);
  }
}
