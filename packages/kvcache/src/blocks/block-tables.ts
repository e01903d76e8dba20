import type { BlockSequence } from './block-sequence.ts';
import type { SequenceRows } from './step-layout.ts';

/**
 * The block tables of the steps of one group. Steps of the same sequences share one array: a step only adds columns, and those
 * that are added are beyond the lengths of earlier steps, which may still be waiting to be run. Anything else takes a new one.
 */
export class BlockTables {
  readonly #group: number;
  readonly #maxBlocks: number;
  #data: Int32Array = new Int32Array(0);
  #width = 0;
  #sequences: (BlockSequence | undefined)[] = [];
  #versions: number[] = [];
  #written: number[] = [];

  constructor(group: number, maxBlocks: number) {
    this.#group = group;
    this.#maxBlocks = maxBlocks;
  }

  /** `[B, N]` with the blocks of each sequence's tokens; `columns` of them for the longest. */
  of(rows: readonly SequenceRows[], blockSize: number, columns: number): { data: Int32Array; shape: [number, number] } {
    if (!this.#continues(rows, columns)) this.#begin(rows, columns);
    const width = this.#width;
    for (let b = 0; b < rows.length; b++) {
      const { length, lists } = rows[b]!.sequence;
      const { table } = lists[this.#group]!;
      const end = Math.ceil(length / blockSize);
      for (let column = this.#written[b]!; column < end; column++)
        this.#data[b * width + column] = Math.max(0, table[column]!);
      this.#written[b] = end;
    }
    return { data: this.#data, shape: [rows.length, width] };
  }

  #continues(rows: readonly SequenceRows[], columns: number): boolean {
    if (rows.length !== this.#sequences.length || columns > this.#width) return false;
    for (let b = 0; b < rows.length; b++) {
      const { sequence } = rows[b]!;
      if (this.#sequences[b] !== sequence || this.#versions[b] !== sequence.version) return false;
    }
    return true;
  }

  #begin(rows: readonly SequenceRows[], columns: number): void {
    // with room to grow: few steps need another array, and plans are made for powers of two in any case
    this.#width = Math.min(this.#maxBlocks, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
    this.#data = new Int32Array(rows.length * this.#width);
    this.#sequences = rows.map(({ sequence }) => sequence);
    this.#versions = rows.map(({ sequence }) => sequence.version);
    this.#written = rows.map(() => 0);
  }
}
