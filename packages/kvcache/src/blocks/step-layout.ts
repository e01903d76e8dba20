import type { Fed } from '@heddle/tensor';
import type { BlockTables } from './block-tables.ts';
import { compactTables } from './compact-tables.ts';
import { positionsName, slotsName, tableName } from './step-inputs.ts';
import type { StepRows } from './step-rows.ts';

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
  step: StepRows,
  tables: readonly BlockTables[],
  blockSize: number,
  compactSlots: number,
): StepLayout {
  const { sequences, tokens: counts } = step;
  const B = sequences.length;
  const lengths = new Int32Array(B);
  let T = 0;
  let maxLength = 1;
  for (let b = 0; b < B; b++) {
    const { length } = sequences[b]!;
    lengths[b] = length;
    if (length > maxLength) maxLength = length;
    T += counts[b]!;
  }
  const positions = new Int32Array(T);
  const segments = new Int32Array(T);
  let row = 0;
  for (let b = 0; b < B; b++) {
    const start = lengths[b]!;
    const tokens = counts[b]!;
    for (let i = 0; i < tokens; i++) {
      positions[row + i] = start + i;
      segments[row + i] = b;
    }
    row += tokens;
  }
  for (const table of tables) table.turnTo(sequences);
  const compact = compactSlots > 0 ? compactTables(sequences, blockSize, compactSlots) : undefined;
  if (compact) {
    const { data, shape, lengths: left, keyPositions } = compact;
    const inputs = {
      lengths: left,
      [tableName(0)]: { data, shape },
      [slotsName(0)]: tables[0]!.slots(step, lengths, T),
      [positionsName]: keyPositions,
    };
    return { inputs, lengths, maxLength: Math.max(1, ...left), positions, segments };
  }
  const columns = Math.ceil(maxLength / blockSize);
  const inputs: Record<string, Fed> = { lengths };
  for (let group = 0; group < tables.length; group++) {
    inputs[tableName(group)] = tables[group]!.table(lengths, columns);
    inputs[slotsName(group)] = tables[group]!.slots(step, lengths, T);
  }
  return { inputs, lengths, maxLength, positions, segments };
}
