import type { Capacity } from '@heddle/batcher';
import type { KvCache } from '@heddle/kvcache';
import type { ScheduledGeneration } from './request.ts';

/** The memory of a cache as a scheduler asks for it: opens, grows and closes the sequences of requests. */
export function cacheCapacity(cache: KvCache): Capacity<ScheduledGeneration> {
  const grow = (request: ScheduledGeneration, tokens: number) => {
    const { kv } = request;
    return kv !== undefined && kv.reserve(Math.max(0, tokens - kv.length)) !== undefined;
  };
  return {
    maxSequenceTokens: cache.maxSequenceTokens,
    admit(request, tokens, _length, parent) {
      const shared = parent?.kv && Math.min(request.promptTokens - 1, parent.kv.length);
      request.kv = shared ? parent.kv!.fork(request.id) : cache.sequence(request.id);
      if (!request.kv) return 'full';
      if (shared) request.kv.truncate(shared);
      if (grow(request, tokens)) return request.kv.length;
      request.kv.dispose();
      request.kv = undefined;
      return 'full';
    },
    reserve: grow,
    release(request) {
      request.kv?.dispose();
      request.kv = undefined;
    },
  };
}
