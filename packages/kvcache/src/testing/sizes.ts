import type { Device } from '@heddle/tensor';
import type { KvCache, KvShape } from '../kv-cache.ts';

/** What a contract wants of a cache: room for `maxSequences` sequences of `maxSequenceTokens` tokens, all at once. */
export interface KvCacheSizes extends KvShape {
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
}

/** Makes a cache of at least these sizes. The contract disposes of it. */
export type OpenKvCache = (device: Device, sizes: KvCacheSizes) => KvCache;
