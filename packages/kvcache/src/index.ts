export { append } from './append.ts';
export { type StepInputs, type StepTensors, stepFeeds, stepOptions } from './compiled-step.ts';
export { type ContiguousCacheOptions, contiguousCache } from './contiguous-cache.ts';
export type { PrefixTierOptions } from './demoted/options.ts';
export { CacheFormatError, CacheFullError, CacheIntegrityError, EvictedTokensError } from './errors.ts';
export type {
  HeldKv,
  HeldStore,
  HostKv,
  KvBatch,
  KvBatchRows,
  KvCache,
  KvLoss,
  KvPrompt,
  KvSequence,
  KvStats,
  KvStep,
  RowsView,
  StateView,
} from './kv-cache.ts';
export {
  bytesPerState,
  bytesPerToken,
  type FormatOf,
  type KeyValueSizes,
  type KvShape,
  type KvStore,
  keyValueShape,
  type QuantizedFormat,
  type RowsStore,
  type StateStore,
} from './kv-shape.ts';
export { type DropPolicy, heavyHitters, lastTokens, snapKv } from './lossy/drop-policies.ts';
export { type CachePromClient, type CachePrometheusOptions, prometheusCache } from './metrics/prometheus-cache.ts';
export { openSequence } from './open-sequence.ts';
export { type PagedCacheOptions, pagedCache, pagedCacheBytes } from './paged-cache.ts';
export {
  type CachedBlock,
  type EvictionPolicy,
  firstInFirstOut,
  leastFrequentlyUsed,
  leastRecentlyUsed,
  lowestPriority,
} from './prefix/eviction-policies.ts';
export { restoreSnapshot, takeSnapshot } from './snapshot/snapshots.ts';
export { type FolderTierOptions, folderTier, type TierFiles } from './tiers/folder-tier.ts';
export { type KvTier, memoryTier, type TierBlock } from './tiers/kv-tier.ts';
export { opfsTier, type TierDirectory } from './tiers/opfs-tier.ts';
export type { RetainOptions } from './tiers/retain.ts';
export { signedTier } from './tiers/signed-tier.ts';
export type { KvTierStats } from './tiers/tier-counts.ts';
export { type ValkeyClient, type ValkeyPipeline, valkeyTier } from './tiers/valkey-tier.ts';
