import { bytesPerToken, type KvShape, type KvStore, pagedCacheBytes } from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';

/** What a cache takes where nothing is said and the device has no budget. */
const usualBytes = 2 ** 31;

/** Tokens are counted in blocks of the usual size. */
const block = 16;

/** What a user asks of the cache's size. */
export interface CacheWishes {
  readonly maxSequences: number;
  readonly maxSequenceTokens: number | undefined;
  readonly maxBatchTokens: number;
  readonly cacheBytes: number | undefined;
}

/** The cache that fits the memory: the longest sequence, and tokens over all sequences. */
export interface CacheSize {
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  readonly maxBatchTokens: number;
  readonly tokens: number;
}

/**
 * A size that fits: in `cacheBytes`, by default half of what the device's budget leaves, and 2 GiB without a budget. The longest
 * sequence that is asked for always has room; where none is, sequences may be as long as the model's context or the cache.
 */
export function cacheSize(device: Device, shape: KvShape, maxPositions: number, wishes: CacheWishes): CacheSize {
  const { maxSequences, maxBatchTokens } = wishes;
  const { budget, live } = device.memory();
  const bytes = wishes.cacheBytes ?? (budget === undefined ? usualBytes : Math.max(0, budget - live) / 2);
  const within = tokensWithin(bytes / wideness(device), shape, maxSequences, maxBatchTokens);
  const fit = within < block ? Math.floor(within) : Math.floor(within / block) * block;
  const maxSequenceTokens = Math.min(wishes.maxSequenceTokens ?? Math.max(fit, 1), maxPositions);
  const all = maxSequences * Math.ceil(maxSequenceTokens / block) * block;
  const tokens = Math.max(maxSequenceTokens, Math.min(fit, all));
  return { maxSequences, maxSequenceTokens, maxBatchTokens, tokens };
}

/** How many bytes the device takes for one of a value: 2 where it keeps f32 in f64. */
function wideness(device: Device): number {
  const probe = device.zeroVariable([64], { name: 'probe' });
  const { byteLength } = probe.storage!;
  probe.dispose();
  return byteLength / 256;
}

/** Tokens of the layers that keep them all that fit beside the windows and the states of the others. */
function tokensWithin(bytes: number, shape: KvShape, maxSequences: number, maxBatchTokens: number): number {
  const keepsAll = ({ kind, window }: KvStore) => kind === 'rows' && window === undefined;
  const full = { layers: shape.layers.map((layer) => storesWith(layer, keepsAll)) };
  const each = bytesPerToken(full);
  if (each === 0) return Number.MAX_SAFE_INTEGER;
  const others = { layers: shape.layers.map((layer) => storesWith(layer, (store) => !keepsAll(store))) };
  const longest = 2 ** 30; // longer than any window
  const options = { shape: others, maxSequences, maxSequenceTokens: longest, maxBatchTokens, tokens: longest };
  const fixed = others.layers.every((layer) => Object.keys(layer).length === 0) ? 0 : pagedCacheBytes(options);
  return Math.max(0, bytes - fixed) / each;
}

function storesWith(layer: KvShape['layers'][number], accepts: (store: KvStore) => boolean) {
  return Object.fromEntries(Object.entries(layer).filter(([, store]) => accepts(store)));
}
