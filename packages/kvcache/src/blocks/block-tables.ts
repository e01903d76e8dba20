import type { BlockSequence } from './block-sequence.ts';
import type { StepRows } from './step-rows.ts';

/**
 * Where the rows of steps read and write in one group. Steps of the same sequences share one block table: a step only adds
 * columns, and those that are added are beyond the lengths of earlier steps, which may still be waiting to be run. Anything else
 * takes a new one. What is needed of each sequence for its next row lies in arrays by its place in the step.
 */
export class BlockTables {
  readonly #group: number;
  readonly #blockSize: number;
  readonly #maxBlocks: number;
  #data: Int32Array = new Int32Array(0);
  #width = 0;
  #sequences: readonly BlockSequence[] = [];
  #versions: number[] = [];
  /** Columns of each that are in the table. */
  #written: Int32Array = new Int32Array(0);
  /** The slot of each one's position p is base + p, for positions in its open block, which ends before `openEnd`. */
  #base: Int32Array = new Int32Array(0);
  #openEnd: Int32Array = new Int32Array(0);

  constructor(group: number, blockSize: number, maxBlocks: number) {
    this.#group = group;
    this.#blockSize = blockSize;
    this.#maxBlocks = maxBlocks;
  }

  /** Turns to the sequences of another step, before it is asked about them. */
  turnTo(sequences: readonly BlockSequence[]): void {
    if (this.#continues(sequences)) return;
    const count = sequences.length;
    this.#sequences = sequences;
    this.#versions = sequences.map(({ version }) => version);
    this.#base = new Int32Array(count);
    this.#openEnd = new Int32Array(count);
    this.#width = 0;
  }

  /** Slots of the step's rows. */
  slots({ sequences, tokens: counts }: StepRows, lengths: Int32Array, rows: number): Int32Array {
    const slots = new Int32Array(rows);
    const [base, openEnd] = [this.#base, this.#openEnd];
    let row = 0;
    for (let b = 0; b < counts.length; b++) {
      const tokens = counts[b]!;
      const start = lengths[b]!;
      if (tokens === 1 && start < openEnd[b]!) slots[row] = base[b]! + start;
      else if (tokens > 0) this.#write(slots, row, b, sequences[b]!, start, tokens);
      row += tokens;
    }
    return slots;
  }

  /** `[B, N]` with the blocks of each sequence's tokens; `columns` of them for the longest. */
  table(lengths: Int32Array, columns: number): { data: Int32Array; shape: [number, number] } {
    const sequences = this.#sequences;
    if (columns > this.#width || this.#width === 0) this.#widen(columns);
    const width = this.#width;
    const written = this.#written;
    for (let b = 0; b < sequences.length; b++) {
      const end = Math.ceil(lengths[b]! / this.#blockSize);
      let column = written[b]!;
      if (column === end) continue;
      const { table } = sequences[b]!.lists[this.#group]!;
      for (; column < end; column++) this.#data[b * width + column] = Math.max(0, table[column]!);
      written[b] = end;
    }
    return { data: this.#data, shape: [sequences.length, width] };
  }

  #continues(sequences: readonly BlockSequence[]): boolean {
    if (sequences.length !== this.#sequences.length) return false;
    for (let b = 0; b < sequences.length; b++) {
      const sequence = sequences[b]!;
      if (this.#sequences[b] !== sequence || this.#versions[b] !== sequence.version) return false;
    }
    return true;
  }

  #widen(columns: number): void {
    // with room to grow: few steps need another array, and plans are made for powers of two in any case
    this.#width = Math.min(this.#maxBlocks, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
    this.#data = new Int32Array(this.#sequences.length * this.#width);
    this.#written = new Int32Array(this.#sequences.length);
  }

  /** Writes the slots of `tokens` positions from `start` on to `slots`, from `row` on. */
  #write(slots: Int32Array, row: number, b: number, sequence: BlockSequence, start: number, tokens: number): void {
    const blockSize = this.#blockSize;
    const { table } = sequence.lists[this.#group]!;
    let column = Math.floor(start / blockSize);
    let end = Math.min(start + tokens, (column + 1) * blockSize);
    for (let position = start; position < start + tokens; ) {
      const base = (table[column]! - column) * blockSize;
      for (; position < end; position++) slots[row++] = base + position;
      this.#base[b] = base;
      this.#openEnd[b] = (column + 1) * blockSize;
      column++;
      end = Math.min(start + tokens, (column + 1) * blockSize);
    }
  }
}
