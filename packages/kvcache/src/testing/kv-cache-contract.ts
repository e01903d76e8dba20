import type { Device } from '@heddle/tensor';
import { contentRules } from './content-rules.ts';
import type { KvCacheContractCase } from './contract.ts';
import { roomRules } from './room-rules.ts';
import type { OpenKvCache } from './sizes.ts';

export interface KvCacheContractOptions {
  /** Of the random uses; one case each. Default 1, 2 and 3. */
  readonly seeds?: readonly number[];
}

/** Small enough that room runs out all the time. */
const sizes = { layers: 2, heads: 2, headDim: 4, dtype: 'f32', maxSequences: 4, maxSequenceTokens: 12 } as const;

/**
 * The rules of `KvCache` on a device: room and refusals, layout of a step, contents through slots, block tables, ranges,
 * forks and truncations, integrity after random use, no allocation while tokens flow, nothing left after dispose.
 *
 * Framework-free: run each case in a test of its own, one after the other on a device that nothing else uses meanwhile,
 * since some count its memory.
 */
export function kvCacheContract(
  open: OpenKvCache,
  device: () => Device,
  { seeds = [1, 2, 3] }: KvCacheContractOptions = {},
): readonly KvCacheContractCase[] {
  return [...roomRules(open, device, sizes), ...contentRules(open, device, sizes, seeds)];
}
