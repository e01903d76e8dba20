import type { KvLoss } from '../kv-cache.ts';
import { keepsExactly } from '../kv-shape.ts';
import type { BlockCacheParts } from './block-cache-parts.ts';

/** By which of its options a cache may give something else than what was written. */
export function lossesOf({ shape, formatOf, retain, drops, tiers }: BlockCacheParts): readonly KvLoss[] {
  const losses: KvLoss[] = [];
  if (!keepsExactly(shape, formatOf)) losses.push('format');
  if (retain) losses.push('retain');
  if (drops) losses.push('drops');
  if (tiers?.warm) losses.push('warm');
  return losses;
}

/** Whether it touches only what comes back from a tier. */
export const isOfTiers = (loss: KvLoss): boolean => loss === 'warm';
