import type { KvStats } from '../kv-cache.ts';
import type { PrefixSharing } from '../prefix/prefix-sharing.ts';
import type { BlockSequence } from './block-sequence.ts';
import type { Group } from './group.ts';

/** Sequences, tokens and blocks as they are now, hits and misses up to now. */
export function countBlocks(
  sequences: readonly BlockSequence[],
  groups: readonly Group[],
  { hitTokens, missTokens, tree }: PrefixSharing,
  {
    blockSize,
    maxSequences,
    maxSequenceTokens,
  }: { blockSize: number; maxSequences: number; maxSequenceTokens: number },
): Omit<KvStats, 'bytes' | 'tiers' | 'lossy'> {
  let [blocks, free, cached] = [0, 0, 0];
  for (const [group, { pool }] of groups.entries()) {
    blocks += pool.blocks;
    free += pool.freeCount;
    cached += tree.cached(group);
  }
  const full = groups.find(({ kind }) => kind === 'all');
  return {
    tokenCapacity: full ? full.pool.blocks * blockSize : maxSequences * maxSequenceTokens,
    sequences: sequences.length,
    tokens: sequences.reduce((sum, { length }) => sum + length, 0),
    blocks,
    blocksUsed: blocks - free - cached,
    blocksCached: cached,
    hitTokens,
    missTokens,
    evictions: tree.evictions,
  };
}
