import { BlockPool } from './blocks/block-pool.ts';
import type { Group } from './blocks/group.ts';
import type { CheckpointRule } from './blocks/state-slots.ts';
import { isState, type KvShape } from './kv-shape.ts';

/** Which states a cache keeps beside those after the last tokens, where layers have states. */
export interface CheckpointOptions {
  /** A state is kept after each multiple of so many tokens, rounded up to whole blocks. Default 512. */
  readonly checkpointEvery?: number;
  /**
   * How many states there is memory for beside two of each sequence: those that prompts begin with, and those that sequences can
   * go back to. Default two for each sequence.
   */
  readonly checkpoints?: number;
}

/** The slots of states: none where no layer has states. */
export function checkpointSlots(
  options: CheckpointOptions & { readonly shape: KvShape; readonly maxSequences: number },
  blockSize: number,
): { readonly rule: CheckpointRule; readonly group: readonly Group[] } {
  const { shape, maxSequences, checkpointEvery = 512, checkpoints = 2 * maxSequences } = options;
  const rule = { every: Math.ceil(checkpointEvery / blockSize) * blockSize, slots: checkpoints };
  if (!shape.layers.some((layer) => Object.values(layer).some(isState))) return { rule, group: [] };
  const pool = new BlockPool(2 * maxSequences + checkpoints);
  return { rule, group: [{ kind: 'state', window: undefined, keepFirst: 0, pool }] };
}
