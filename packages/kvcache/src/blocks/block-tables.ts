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
    const [data, width, written] = [this.#data, this.#width, this.#written];
    for (let b = 0; b < rows.length; b++) {
      const { length, lists } = rows[b]!.sequence;
      const end = Math.ceil(length / blockSize);
      if (written[b] === end) continue;
      const { table } = lists[this.#group]!;
      for (let column = written[b]!; column < end; column++) data[b * width + column] = Math.max(0, table[column]!);
      written[b] = end;
    }
    return { data, shape: [rows.length, width] };
  }

  #continues(rows: readonly SequenceRows[], columns: number): boolean {
    if (rows.length !== this.#sequences.length || columns > this.#width) return false;
    for (let b = 0; b < rows.length; b++) if (!this.#isSame(b, rows[b]!.sequence)) return false;
    return true;
  }

  /** Whether row `b` is of this sequence, and its written tokens are where they were. */
  #isSame(b: number, sequence: BlockSequence): boolean {
    return this.#sequences[b] === sequence && this.#versions[b] === sequence.version;
  }

  #begin(rows: readonly SequenceRows[], columns: number): void {
    // with room to grow: few steps need another array, and plans are made for powers of two in any case
    const width = Math.min(this.#maxBlocks, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
    const alike = width === this.#width && rows.length === this.#sequences.length;
    // mostly it is a row or two that have changed
    const data = alike ? this.#data.slice() : new Int32Array(rows.length * width);
    const written = rows.map(({ sequence }, b) => {
      if (!alike) return 0;
      if (this.#isSame(b, sequence)) return this.#written[b]!;
      data.fill(0, b * width, (b + 1) * width);
      return 0;
    });
    this.#data = data;
    this.#width = width;
    this.#written = written;
    this.#sequences = rows.map(({ sequence }) => sequence);
    this.#versions = rows.map(({ sequence }) => sequence.version);
  }
}
