import type { PrefixTierOptions } from '../demoted/options.ts';
import type { FormatOf, KvShape, KvStore } from '../kv-shape.ts';
import type { EvictionPolicy } from '../prefix/eviction-policies.ts';
import type { RetainOptions } from '../tiers/retain.ts';
import type { Group } from './group.ts';
import type { CheckpointRule } from './state-slots.ts';

/** What a cache in blocks is made of. */
export interface BlockCacheParts {
  readonly shape: KvShape;
  readonly blockSize: number;
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  /** The most rows of a step; undefined where nothing depends on it. */
  readonly maxBatchTokens: number | undefined;
  readonly groups: readonly Group[];
  readonly groupOf: (store: KvStore) => number;
  /** In what format stores are kept other than their own. */
  readonly formatOf: FormatOf;
  /** Which states are kept, where layers have states. */
  readonly checkpoints: CheckpointRule;
  /** Where rows go that leave the only group, a window; undefined where they are forgotten. */
  readonly retain?: { readonly stored: KvShape; readonly options: RetainOptions } | undefined;
  /** Whether sequences may forget tokens between others. */
  readonly drops?: boolean | undefined;
  /** Where blocks go that are forgotten. */
  readonly tiers?: PrefixTierOptions | undefined;
  /** What is forgotten first of tokens that no sequence holds; undefined where nothing is shared. */
  readonly eviction: EvictionPolicy | undefined;
}
