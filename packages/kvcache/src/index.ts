export { type ContiguousCacheOptions, contiguousCache } from './contiguous-cache.ts';
export { CacheIntegrityError } from './errors.ts';
export type {
  HostKv,
  KvBatch,
  KvCache,
  KvInputs,
  KvSequence,
  KvShape,
  KvStats,
  KvStep,
  SlotMapping,
} from './kv-cache.ts';
