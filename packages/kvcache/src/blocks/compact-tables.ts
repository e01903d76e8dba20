import type { SequenceRows } from './step-layout.ts';

/** What a step reads where tokens between the first and the last ones were dropped: those that are left, one after the other. */
export interface CompactTables {
  readonly data: Int32Array;
  readonly shape: [number, number];
  /** Tokens of each sequence that are left. */
  readonly lengths: Int32Array;
  /** Position of the token in each slot. */
  readonly keyPositions: Int32Array;
}

/** Of the only group of a cache. */
export function compactTables(rows: readonly SequenceRows[], blockSize: number, slots: number): CompactTables {
  const columns = rows.map(({ sequence: { length, lists } }) => {
    const list = lists[0]!;
    const end = Math.ceil(length / blockSize);
    return Array.from({ length: end }, (_, column) => column).filter((column) => list.holds(column));
  });
  const most = columns.reduce((width, { length }) => Math.max(width, length), 1);
  const width = 2 ** Math.ceil(Math.log2(most));
  const data = new Int32Array(rows.length * width);
  const lengths = new Int32Array(rows.length);
  const keyPositions = new Int32Array(slots);
  for (const [b, { sequence }] of rows.entries()) {
    const { table } = sequence.lists[0]!;
    for (const [i, column] of columns[b]!.entries()) {
      const block = table[column]!;
      data[b * width + i] = block;
      const start = column * blockSize;
      for (let j = 0; j < blockSize; j++) keyPositions[block * blockSize + j] = start + j;
      lengths[b]! += Math.min(blockSize, sequence.length - start);
    }
  }
  return { data, shape: [rows.length, width], lengths, keyPositions };
}
