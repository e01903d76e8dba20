export { type KvCacheContractCase, KvCacheContractError } from './testing/contract.ts';
export { type KvCacheContractOptions, kvCacheContract } from './testing/kv-cache-contract.ts';
export type { KvCacheSizes, OpenKvCache } from './testing/sizes.ts';
