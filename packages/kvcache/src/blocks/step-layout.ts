import type { Fed } from '@heddle/tensor';
import type { BlockSequence } from './block-sequence.ts';
import type { BlockTables } from './block-tables.ts';
import { compactTables } from './compact-tables.ts';
import { positionsName, slotsName, tableName } from './step-inputs.ts';

/** Rows of one sequence in a step. */
export interface SequenceRows {
  readonly sequence: BlockSequence;
  readonly tokens: number;
  /** Lengths whose states are to be kept. */
  readonly keep: readonly number[];
  /** Whether no state but the last is saved. */
  readonly only: 'end' | undefined;
}

/** Host values of a step, by name. */
export interface StepLayout {
  readonly inputs: Readonly<Record<string, Fed>>;
  /** Of each sequence before the step. */
  readonly lengths: Int32Array;
  readonly maxLength: number;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
}

/**
 * Where every row of a step reads and writes.
 * @param compactSlots slots of the only group, where tokens between those that are left were dropped; otherwise 0
 */
export function layOut(
  rows: readonly SequenceRows[],
  tables: readonly BlockTables[],
  blockSize: number,
  compactSlots: number,
): StepLayout {
  const B = rows.length;
  let T = 0;
  for (let b = 0; b < B; b++) T += rows[b]!.tokens;
  // one piece of memory for all: each of its own costs the host, and its collector, as much as the rows
  const memory = new ArrayBuffer(4 * (B + (2 + tables.length) * T));
  const lengths = new Int32Array(memory, 0, B);
  const positions = new Int32Array(memory, 4 * B, T);
  const segments = new Int32Array(memory, 4 * (B + T), T);
  const slots = tables.map((_, group) => new Int32Array(memory, 4 * (B + (2 + group) * T), T));
  let maxLength = 1;
  for (let b = 0; b < B; b++) {
    const { sequence } = rows[b]!;
    lengths[b] = sequence.length;
    if (sequence.length > maxLength) maxLength = sequence.length;
  }
  let row = 0;
  for (let b = 0; b < B; b++) {
    const { sequence, tokens } = rows[b]!;
    const start = sequence.length;
    for (let i = 0; i < tokens; i++) {
      positions[row + i] = start + i;
      segments[row + i] = b;
    }
    for (let group = 0; group < slots.length; group++)
      writeSlots(slots[group]!, row, sequence.lists[group]!.table, start, tokens, blockSize);
    row += tokens;
  }
  const compact = compactSlots > 0 ? compactTables(rows, blockSize, compactSlots) : undefined;
  if (compact) {
    const { data, shape, lengths: left, keyPositions } = compact;
    const inputs = {
      lengths: left,
      [tableName(0)]: { data, shape },
      [slotsName(0)]: slots[0]!,
      [positionsName]: keyPositions,
    };
    return { inputs, lengths, maxLength: Math.max(1, ...left), positions, segments };
  }
  const columns = Math.ceil(maxLength / blockSize);
  const inputs: Record<string, Fed> = { lengths };
  for (let group = 0; group < tables.length; group++) {
    inputs[tableName(group)] = tables[group]!.of(rows, blockSize, columns);
    inputs[slotsName(group)] = slots[group]!;
  }
  return { inputs, lengths, maxLength, positions, segments };
}

/** Writes the slots of `tokens` positions from `start` on to `slots`, from `row` on. */
function writeSlots(
  slots: Int32Array,
  row: number,
  table: Int32Array,
  start: number,
  tokens: number,
  blockSize: number,
): void {
  let column = Math.floor(start / blockSize);
  let offset = start - column * blockSize;
  for (let i = 0; i < tokens; i++) {
    slots[row + i] = table[column]! * blockSize + offset;
    if (++offset === blockSize) {
      column++;
      offset = 0;
    }
  }
}
