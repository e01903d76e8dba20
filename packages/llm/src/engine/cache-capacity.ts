import type { Capacity } from '@heddle/batcher';
import type { KvCache, KvPrompt, KvSequence } from '@heddle/kvcache';
import type { ScheduledGeneration } from './request.ts';

/**
 * The memory of a cache as a scheduler asks for it: opens, grows and closes the sequences of requests.
 * @param options.shareUpTo longer sequences share nothing with others, by default all do
 */
export function cacheCapacity(
  cache: KvCache,
  options: { readonly shareUpTo?: number } = {},
): Capacity<ScheduledGeneration> {
  const { shareUpTo = Number.POSITIVE_INFINITY } = options;
  const grow = (request: ScheduledGeneration, tokens: number) => {
    const { kv } = request;
    return kv?.reserve(Math.max(0, tokens - kv.length)) ?? false;
  };
  const open = (
    request: ScheduledGeneration,
    length: number,
    parent: KvSequence | undefined,
  ): KvSequence | 'full' | 'pending' => {
    if (Math.max(length, parent?.length ?? 0) > shareUpTo) return cache.sequence(request.id);
    const shared = parent ? Math.min(request.promptTokens - 1, parent.length) : 0;
    return shared > 0 ? parent!.fork(request.id, shared) : cache.sequence(request.id, promptOf(request, length));
  };
  return {
    maxSequenceTokens: cache.maxSequenceTokens,
    admit(request, tokens, length, parent) {
      const isAlike = parent?.adapter?.key === request.adapter?.key;
      const kv = open(request, length, isAlike ? parent?.kv : undefined);
      if (typeof kv === 'string') return kv;
      request.kv = kv;
      if (grow(request, tokens)) {
        request.onCached?.(kv.length);
        return kv.length;
      }
      kv.dispose();
      request.kv = undefined;
      return 'full';
    },
    reserve: grow,
    release(request) {
      request.kv?.dispose();
      request.kv = undefined;
    },
    cachedTokens: (request) =>
      request.stream.length > shareUpTo ? 0 : cache.match(promptOf(request, request.stream.length)),
  };
}

/** The tokens of a request that are known by now, shared among those of its tenant and adapter only. */
function promptOf({ stream, tenant, adapter, priority }: ScheduledGeneration, length: number): KvPrompt {
  const tokens = Int32Array.from(stream.slice(0, length));
  const namespace = adapter ? JSON.stringify([adapter.key, tenant]) : tenant;
  return { tokens, ...(namespace !== undefined && { namespace }), ...(priority !== undefined && { priority }) };
}
