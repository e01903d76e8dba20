import { ArgumentError } from '@heddle/tensor';
import { EvictedTokensError } from '../errors.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { Group } from './group.ts';

/** Slots of positions [start, end), by group. @throws ArgumentError for a position that a window has given back */
export function slotsOfRange(
  { id, lists }: BlockSequence,
  start: number,
  end: number,
  blockSize: number,
  groups: readonly Group[],
): readonly Int32Array[] {
  return lists.map((list, group) => {
    const rows = new Int32Array(end - start);
    for (let position = start; position < end; position++) {
      const column = Math.floor(position / blockSize);
      if (!list.holds(column) && groups[group]!.window === undefined)
        throw new EvictedTokensError(`range: ${id} has dropped position ${position}`, [[position, position + 1]]);
      if (!list.holds(column))
        throw new ArgumentError(
          `range: ${id} has given back position ${position}, which is out of the window of ${groups[group]!.window}`,
        );
      rows[position - start] = list.table[column]! * blockSize + (position % blockSize);
    }
    return rows;
  });
}
