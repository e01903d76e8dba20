import type { Device } from '@heddle/tensor';
import type { KvCache } from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';

/** What a contract wants of a cache: room for `maxSequences` sequences of `maxSequenceTokens` tokens, all at once. */
export interface KvCacheSizes {
  readonly shape: KvShape;
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  /** The most rows of a step. */
  readonly maxBatchTokens: number;
}

/** Makes a cache of at least these sizes. The contract disposes of it. */
export type OpenKvCache = (device: Device, sizes: KvCacheSizes) => KvCache;
