import { ArgumentError, calledAs, checkArguments, checkOptions, type Device, type OptionKinds } from '@heddle/tensor';
import { BlockCache } from './blocks/block-cache.ts';
import { BlockPool } from './blocks/block-pool.ts';
import { type Group, keyOfRetention, type Retention, retentionKey, retentionsOf } from './blocks/group.ts';
import type { CheckpointRule } from './blocks/state-slots.ts';
import { type CheckpointOptions, checkpointSlots } from './checkpoint-options.ts';
import { cacheKinds, checkSlots } from './contiguous-cache.ts';
import { checkTiers, type PrefixTierOptions } from './demoted/options.ts';
import type { KvCache } from './kv-cache.ts';
import {
  bytesPerState,
  checkedFormat,
  checkShape,
  type FormatOf,
  type KvShape,
  type KvStore,
  type QuantizedFormat,
} from './kv-shape.ts';
import { type EvictionPolicy, leastRecentlyUsed } from './prefix/eviction-policies.ts';
import { blockBytes } from './storage/store-pools.ts';
import { hotShape, type RetainOptions } from './tiers/retain.ts';

/** Options of `pagedCache`. */
export interface PagedCacheOptions extends CheckpointOptions {
  /** What the layers keep; a model's `kvShape`, or `keyValueShape` of its sizes. */
  readonly shape: KvShape;
  /** Sequences that can be open at once. */
  readonly maxSequences: number;
  /** The most tokens of one sequence. */
  readonly maxSequenceTokens: number;
  /**
   * Tokens that the layers without a window keep, over all sequences; rounded up to whole blocks. Default and at most what
   * all sequences have at their largest; at least one of the largest must fit.
   */
  readonly tokens?: number;
  /** Tokens in a block. Default 16. */
  readonly blockSize?: number;
  /** The most rows of a step, for which windows must have room. Default 512. */
  readonly maxBatchTokens?: number;
  /**
   * What is forgotten first of tokens that no sequence holds, which are otherwise kept for prompts that begin with them; false
   * keeps and shares nothing. Default `leastRecentlyUsed()`.
   */
  readonly share?: EvictionPolicy | false;
  /** In what format rows are kept, all or by store, other than their own dtype. */
  readonly format?: QuantizedFormat | FormatOf;
  /**
   * How much of each sequence is kept where. Attention reads the hot part and the tokens in front only, so what is computed is
   * another thing than with all tokens (StreamingLLM, https://arxiv.org/abs/2309.17453). Nothing is shared then.
   */
  readonly retain?: RetainOptions;
  /**
   * Whether sequences may forget tokens between others (`keep`): attention reads those that are left, at their positions, so what
   * is computed is another thing than with all tokens. For layers that all keep everything; nothing is shared then.
   */
  readonly drops?: boolean;
  /** Where tokens go that are forgotten, so that prompts still begin with them. By default nowhere. */
  readonly tiers?: PrefixTierOptions;
}

/**
 * A cache in pages: sequences take blocks of `blockSize` tokens as they grow, so that memory is held for tokens and not for
 * bounds. Prompts that begin alike share blocks, and so do forks, until one of them writes.
 *
 * Layers with a window give back what is out of it; a window takes memory for `maxSequences` windows, and no more for longer
 * sequences. See PagedAttention, https://arxiv.org/abs/2309.06180.
 * @throws ArgumentError for sizes that are no positive integers, a shape that cannot be held, `tokens` that no longest sequence
 *   fits; OutOfMemoryError, then nothing was allocated
 */
export function pagedCache(device: Device, options: PagedCacheOptions): KvCache {
  checkArguments('pagedCache', 'device', { device });
  const plan = calledAs('pagedCache', () => pagesOf(options));
  const { shape, maxSequences, maxSequenceTokens, retain, drops } = options;
  const { share = retain || drops ? false : leastRecentlyUsed() } = options;
  const { tiers } = options;
  if (tiers && (retain || !share))
    throw new ArgumentError(
      `pagedCache: tiers are for what is shared, got ${retain ? 'retain' : 'share: false'} beside them`,
    );
  if (drops && (retain || share || plan.retentions.length !== 1 || plan.retentions[0]!.kind !== 'all'))
    throw new ArgumentError('pagedCache: drops takes layers that keep all tokens, without retain and share');
  if (retain && share) throw new ArgumentError('pagedCache: a cache with retain shares nothing, got share');
  return new BlockCache(device, {
    shape,
    blockSize: plan.blockSize,
    maxSequences,
    maxSequenceTokens,
    maxBatchTokens: plan.retentions.some(({ window }) => window !== undefined) ? plan.maxBatchTokens : undefined,
    groups: plan.retentions.map(
      (retention, group): Group => ({ ...retention, pool: new BlockPool(plan.blocks[group]!) }),
    ),
    formatOf: plan.formatOf,
    checkpoints: plan.rule,
    groupOf: plan.groupOf,
    tiers,
    drops,
    retain: retain && { stored: plan.shape, options: retain },
    eviction: share || undefined,
  });
}

/** The device memory that `pagedCache` takes with these options, in bytes. @throws ArgumentError as it does */
export function pagedCacheBytes(options: PagedCacheOptions): number {
  const { shape, blocks, groupOf, blockSize, formatOf } = calledAs('pagedCacheBytes', () => pagesOf(options));
  const pools = blockBytes(shape, groupOf, blockSize, formatOf).reduce((sum, bytes, g) => sum + bytes * blocks[g]!, 0);
  return pools + bytesPerState(options.shape); // zeros are a state too
}

/** Groups of a paged cache, and blocks of each. */
interface Pages {
  /** With the windows that `retain` makes. */
  readonly shape: KvShape;
  readonly blockSize: number;
  readonly maxBatchTokens: number;
  readonly retentions: readonly Retention[];
  readonly blocks: readonly number[];
  readonly groupOf: (store: KvStore) => number;
  readonly formatOf: FormatOf;
  readonly rule: CheckpointRule;
}

const pageKinds: Readonly<Record<keyof PagedCacheOptions, OptionKinds[string]>> = {
  ...cacheKinds,
  blockSize: 'size?',
  share: 'anything',
  retain: 'object?',
  drops: 'boolean?',
  tiers: 'object?',
};

function pagesOf(options: PagedCacheOptions): Pages {
  checkOptions('pagedCache', options, pageKinds);
  const { maxSequences, maxSequenceTokens, blockSize = 16, maxBatchTokens = 512, retain, tiers } = options;
  checkShape('pagedCache', options.shape);
  const { share } = options;
  if (share !== undefined && share !== false && typeof share?.rank !== 'function')
    throw new ArgumentError(
      `pagedCache: share must be an eviction policy, as leastRecentlyUsed() gives one, or false, got ${typeof share}`,
    );
  const shape = retain ? hotShape(options.shape, retain, blockSize) : options.shape;
  const formatOf = checkedFormat('pagedCache', shape, options.format);
  if (retain?.warm) checkedFormat('pagedCache: retain', shape, { bits: 8 });
  if (tiers) checkTiers(tiers, { shape, blockSize, formatOf });
  const perSequence = Math.ceil(maxSequenceTokens / blockSize);
  const { tokens = maxSequences * perSequence * blockSize } = options;
  if (!Number.isSafeInteger(tokens) || tokens < maxSequenceTokens)
    throw new ArgumentError(
      `pagedCache: tokens must be a whole number from maxSequenceTokens ${maxSequenceTokens}, got ${tokens}`,
    );
  const retentions = retentionsOf(shape);
  const byKey = new Map(retentions.map((retention, group) => [keyOfRetention(retention), group]));
  const { rule, group: stateGroup } = checkpointSlots(options, blockSize);
  const most = maxSequences * perSequence;
  const blocks = retentions.map(({ kind, window, keepFirst }) => {
    if (kind === 'state') return stateGroup[0]!.pool.blocks;
    if (window === undefined) return Math.min(most, Math.ceil(tokens / blockSize));
    const held = Math.ceil((window - 1 + blockSize) / blockSize) + 1 + Math.ceil(keepFirst / blockSize);
    // beside what windows hold: the rows of a step, and a copy for each sequence
    const needed = maxSequences * (held + 1) + Math.ceil(maxBatchTokens / blockSize);
    // a checkpoint is of use together with the rows in the window before it
    const checkpointed = stateGroup.length > 0 ? rule.slots * (Math.ceil((window - 1) / blockSize) + 1) : 0;
    return Math.min(most + maxSequences, needed) + checkpointed;
  });
  checkSlots('pagedCache', Math.max(...blocks) * blockSize);
  return {
    shape,
    blockSize,
    maxBatchTokens,
    retentions,
    blocks,
    rule,
    formatOf,
    groupOf: (store) => byKey.get(retentionKey(store))!,
  };
}
