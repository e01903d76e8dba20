import type { Device } from '@heddle/tensor';
import { BlockPool } from '../blocks/block-pool.ts';
import type { BlockSupply } from '../blocks/block-supply.ts';
import type { Group } from '../blocks/group.ts';
import { type FormatOf, isRows, type KvShape, type KvStore } from '../kv-shape.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import { BlockUploads } from '../storage/block-uploads.ts';
import { RawBlocks } from '../storage/raw-blocks.ts';
import type { RawGroup } from '../storage/raw-layout.ts';
import type { StatePools } from '../storage/state-pools.ts';
import { StorePools } from '../storage/store-pools.ts';
import type { WarmPart } from './demotions.ts';
import type { PrefixTierOptions } from './options.ts';

export interface PrefixTierParts {
  readonly device: Device;
  readonly shape: KvShape;
  readonly groups: readonly Group[];
  readonly groupOf: (store: KvStore) => number;
  readonly formatOf: FormatOf;
  readonly blockSize: number;
  readonly checkpointEvery: number;
  readonly maxSequences: number;
  readonly tree: BlockTree;
  readonly supply: BlockSupply;
  readonly pools: StorePools;
  readonly states: StatePools;
  readonly options: PrefixTierOptions;
}

/** Where the blocks of the cache lie. */
export function rawGroupsOf({ groups, pools, states, blockSize }: PrefixTierParts): readonly RawGroup[] {
  return groups.map(({ kind }, group) =>
    kind === 'state'
      ? { parts: states.parts, slots: 1, offset: 1 }
      : { parts: pools.parts(group), slots: blockSize, offset: 0 },
  );
}

/** The warm part, of so many tokens. @throws OutOfMemoryError, then nothing was allocated */
export function warmPart({ device, shape, groups, groupOf, blockSize }: PrefixTierParts, tokens: number): WarmPart {
  const rows = groups.filter(({ kind }) => kind !== 'state');
  const format: FormatOf = () => ({ bits: 8 });
  const pools = new StorePools(
    device,
    { layers: shape.layers.map((layer) => Object.fromEntries(Object.entries(layer).filter(([, one]) => isRows(one)))) },
    groupOf,
    rows.map(() => tokens),
    blockSize,
    format,
  );
  const groupsOfRows = rows.map((_, group): RawGroup => ({ parts: pools.parts(group), slots: blockSize, offset: 0 }));
  return {
    pools,
    rawGroups: groupsOfRows,
    raw: new RawBlocks(device, groupsOfRows),
    blocks: rows.map(() => new BlockPool(tokens / blockSize)),
  };
}

/** What blocks in the cache's own format come through, and those in the warm part's. @throws OutOfMemoryError, then nothing is left of `warm` either */
export function uploadsOf(
  { device, groups, pools, states }: PrefixTierParts,
  rawGroups: readonly RawGroup[],
  warm: WarmPart | undefined,
): readonly BlockUploads[] {
  const most = groups.map(({ pool }) => pool.blocks);
  const made: BlockUploads[] = [];
  try {
    made.push(
      new BlockUploads(device, rawGroups, most, (group, at, loaded) =>
        groups[group]!.kind === 'state'
          ? states.parts.map((part, i) => part.scatter(at, loaded[i]!))
          : pools.load(group, at, loaded, pools),
      ),
    );
    if (warm)
      made.push(
        new BlockUploads(device, warm.rawGroups, most, (group, at, loaded) =>
          pools.load(group, at, loaded, warm.pools),
        ),
      );
    return made;
  } catch (error) {
    for (const uploads of made) uploads.dispose();
    warm?.pools.dispose();
    throw error;
  }
}
