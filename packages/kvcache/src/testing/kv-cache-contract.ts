import { checkArguments, checkOptions, type Device } from '@heddle/tensor';
import type { RowsStore } from '../kv-shape.ts';
import { contentRules } from './content-rules.ts';
import type { KvCacheContractCase } from './contract.ts';
import { prefixRules } from './prefix-rules.ts';
import { roomRules } from './room-rules.ts';
import type { KvCacheSizes, OpenKvCache } from './sizes.ts';

/** Options of `kvCacheContract`. */
export interface KvCacheContractOptions {
  /** Of the random uses; one case each. Default 1, 2 and 3. */
  readonly seeds?: readonly number[];
}

/** Small enough that room runs out all the time. */
const sizes: KvCacheSizes = {
  shape: {
    layers: [
      { keys: row(2, 4, 'f32'), values: row(2, 4, 'f16') },
      { keys: row(1, 3, 'f32'), values: row(1, 2, 'f32') },
    ],
  },
  maxSequences: 4,
  maxSequenceTokens: 12,
  maxBatchTokens: 32,
};

function row(heads: number, width: number, dtype: 'f32' | 'f16'): RowsStore {
  return { kind: 'rows', shape: [heads, width], dtype };
}

/**
 * The rules of `KvCache` on a device: room and refusals, layout of a step, contents as layers read them, ranges, forks and
 * truncations, prefixes, integrity after random use over random shapes, no allocation while tokens flow, nothing left after
 * dispose.
 *
 * Framework-free: run each case in a test of its own, one after the other on a device that nothing else uses meanwhile,
 * since some count its memory.
 */
export function kvCacheContract(
  open: OpenKvCache,
  device: () => Device,
  options: KvCacheContractOptions = {},
): readonly KvCacheContractCase[] {
  checkArguments('kvCacheContract', 'function', { open, device });
  checkOptions('kvCacheContract', options, { seeds: 'list?' });
  const { seeds = [1, 2, 3] } = options;
  checkArguments('kvCacheContract', 'integer', Object.fromEntries(seeds.map((seed, i) => [`seeds[${i}]`, seed])));
  return [
    ...roomRules(open, device, sizes),
    ...contentRules(open, device, sizes, seeds),
    ...prefixRules(open, device, sizes),
  ];
}
