import type { Fed } from '@heddle/tensor';
import type { BlockSequence } from './block-sequence.ts';
import type { BlockTables } from './block-tables.ts';

/** Rows of one sequence in a step. */
export interface SequenceRows {
  readonly sequence: BlockSequence;
  readonly tokens: number;
}

/** Host values of a step, by name. */
export interface StepLayout {
  readonly inputs: Readonly<Record<string, Fed>>;
  readonly maxLength: number;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
}

/** Names of the inputs of a group. */
export const tableName = (group: number): string => (group === 0 ? 'blockTable' : `blockTable${group}`);
export const slotsName = (group: number): string => (group === 0 ? 'slots' : `slots${group}`);

/** Where every row of a step reads and writes. */
export function layOut(rows: readonly SequenceRows[], tables: readonly BlockTables[], blockSize: number): StepLayout {
  const B = rows.length;
  const lengths = new Int32Array(B);
  let [T, maxLength] = [0, 1];
  for (let b = 0; b < B; b++) {
    const { sequence, tokens } = rows[b]!;
    lengths[b] = sequence.length;
    if (sequence.length > maxLength) maxLength = sequence.length;
    T += tokens;
  }
  const positions = new Int32Array(T);
  const segments = new Int32Array(T);
  let row = 0;
  for (let b = 0; b < B; b++) {
    const { sequence, tokens } = rows[b]!;
    for (let position = sequence.length, end = position + tokens; position < end; position++, row++) {
      positions[row] = position;
      segments[row] = b;
    }
  }
  const columns = Math.ceil(maxLength / blockSize);
  const inputs: Record<string, Fed> = { lengths };
  for (let group = 0; group < tables.length; group++) {
    inputs[tableName(group)] = tables[group]!.of(rows, blockSize, columns);
    inputs[slotsName(group)] = slotsOf(rows, group, positions, segments, blockSize);
  }
  return { inputs, maxLength, positions, segments };
}

function slotsOf(
  rows: readonly SequenceRows[],
  group: number,
  positions: Int32Array,
  segments: Int32Array,
  blockSize: number,
): Int32Array {
  const slots = new Int32Array(positions.length);
  for (let row = 0; row < slots.length; row++) {
    const position = positions[row]!;
    const column = Math.floor(position / blockSize);
    const { table } = rows[segments[row]!]!.sequence.lists[group]!;
    slots[row] = table[column]! * blockSize + (position - column * blockSize);
  }
  return slots;
}
