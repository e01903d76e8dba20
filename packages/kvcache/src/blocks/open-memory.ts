import type { Device } from '@heddle/tensor';
import { PrefixTiers } from '../demoted/prefix-tiers.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import { StatePools } from '../storage/state-pools.ts';
import { StorePools } from '../storage/store-pools.ts';
import { TieredRows } from '../tiers/tiered-rows.ts';
import type { BlockCacheParts } from './block-cache-parts.ts';
import type { BlockSupply } from './block-supply.ts';

/** The device memory of a cache in blocks. */
export interface CacheMemory {
  readonly pools: StorePools;
  readonly states: StatePools;
  /** Where rows go that leave the hot part, with `retain`. */
  readonly tiers: TieredRows | undefined;
}

/** @throws OutOfMemoryError, then nothing was allocated */
export function openMemory(device: Device, parts: BlockCacheParts): CacheMemory {
  const { shape, blockSize, maxSequences, groups, retain, groupOf, formatOf } = parts;
  const slots = groups.filter(({ kind }) => kind !== 'state').map(({ pool }) => pool.blocks * blockSize);
  const pools = new StorePools(device, retain?.stored ?? shape, groupOf, slots, blockSize, formatOf);
  let states: StatePools | undefined;
  try {
    states = new StatePools(device, shape, groups.find(({ kind }) => kind === 'state')?.pool.blocks ?? 0);
    const tiers = retain && new TieredRows(device, shape, pools, blockSize, maxSequences, retain.options);
    return { pools, states, tiers };
  } catch (error) {
    pools.dispose();
    states?.dispose();
    throw error;
  }
}

/** Where blocks go that are forgotten. @throws OutOfMemoryError, then nothing is left of `memory` either */
export function openPrefixTiers(
  device: Device,
  parts: BlockCacheParts,
  memory: Pick<CacheMemory, 'pools' | 'states'>,
  tree: BlockTree,
  supply: BlockSupply,
): PrefixTiers | undefined {
  if (!parts.tiers) return undefined;
  try {
    const { tiers: options, checkpoints, ...rest } = parts;
    return new PrefixTiers({ ...rest, ...memory, device, options, tree, supply, checkpointEvery: checkpoints.every });
  } catch (error) {
    memory.pools.dispose();
    memory.states.dispose();
    throw error;
  }
}
