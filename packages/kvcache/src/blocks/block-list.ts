/** The blocks of one sequence in one group of rows, by column: column c has tokens from c × blockSize on. */
export class BlockList {
  /** Block of each column below `end`; -1 in those that were given back. */
  table: Int32Array = new Int32Array(8);
  end = 0;
  /** Columns [kept, gone) are out of the window: they were given back, but for those that a checkpoint needs. */
  gone: number;
  /** Columns in front that are kept in spite of the window. */
  readonly kept: number;

  constructor(kept: number) {
    this.kept = kept;
    this.gone = kept;
  }

  holds(column: number): boolean {
    return column < this.end && this.table[column]! >= 0;
  }
  push(block: number): void {
    if (this.end === this.table.length) {
      const grown = new Int32Array(2 * this.end);
      grown.set(this.table);
      this.table = grown;
    }
    this.table[this.end++] = block;
  }
  /** A column that is out of the window already. */
  skip(): void {
    this.push(-1);
  }
  /** The columns from `from` on whose blocks are held. */
  *held(from: number = 0): Iterable<number> {
    for (let column = from; column < this.end; column++) if (this.holds(column)) yield column;
  }
}
