import { CacheIntegrityError } from '../errors.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { Group } from './group.ts';
import type { Windows } from './windows.ts';

/** Counts who holds what, and compares. @throws CacheIntegrityError naming what does not hold */
export function auditCache(
  sequences: Iterable<BlockSequence>,
  groups: readonly Group[],
  tree: BlockTree,
  windows: Windows,
  blockSize: number,
  maxSequenceTokens: number,
): void {
  const holders = groups.map(({ pool }) => new Int32Array(pool.blocks));
  const stateGroup = groups.findIndex(({ kind }) => kind === 'state');
  for (const sequence of sequences) {
    const { id, length, reserved, known, path, lists, states } = sequence;
    if (!(path.length * blockSize <= known && known <= length && length <= reserved))
      throw new CacheIntegrityError(
        `cache: ${id} has ${path.length} listed blocks, ${known} known, ${length} written and ${reserved} reserved tokens`,
      );
    if (reserved > maxSequenceTokens)
      throw new CacheIntegrityError(`cache: ${id} has ${reserved} tokens of ${maxSequenceTokens} reserved`);
    for (const [group, list] of lists.entries()) {
      if (groups[group]!.kind === 'all' && list.end < Math.ceil(reserved / blockSize))
        throw new CacheIntegrityError(`cache: ${id} has ${list.end} blocks for ${reserved} tokens`);
      for (const column of list.held()) holders[group]![list.table[column]!]!++;
    }
    windows.check(sequence);
    if (stateGroup < 0) continue;
    if (states.current.position !== length)
      throw new CacheIntegrityError(`cache: ${id} has ${length} tokens and the state of ${states.current.position}`);
    for (const slot of states.held()) holders[stateGroup]![slot]!++;
  }
  tree.check(holders);
  for (const [group, { pool }] of groups.entries()) pool.check(group, holders[group]!);
}
