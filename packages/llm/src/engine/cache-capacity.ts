import type { Capacity } from '@heddle/batcher';
import type { KvCache, KvPrompt, KvSequence } from '@heddle/kvcache';
import type { ScheduledGeneration } from './request.ts';

/**
 * The memory of a cache as a scheduler asks for it: opens, grows and closes the sequences of requests.
 * Only requests of one tenant and adapter share tokens.
 * @param options.shareUpTo longer sequences share nothing with others, by default all do
 * @param options.computedWith what computes tokens beside the model (hooks): those that were computed with something else are not
 *   shared
 */
export function cacheCapacity(
  cache: KvCache,
  options: { readonly shareUpTo?: number; readonly computedWith?: string } = {},
): Capacity<ScheduledGeneration> {
  const { shareUpTo = Number.POSITIVE_INFINITY, computedWith } = options;
  // names of adapters say nothing outside of their pool: what a store has of them is found by nobody else
  const pool = crypto.randomUUID();
  const promptOf = (request: ScheduledGeneration, length: number): KvPrompt => {
    const { stream, tenant, adapter, priority } = request;
    const tokens = Int32Array.from({ length }, (_, i) => stream[i]!);
    const others = [...(adapter ? [`adapter ${adapter.key} ${pool}`] : []), ...(computedWith ? [computedWith] : [])];
    const namespace = others.length > 0 ? JSON.stringify([tenant ?? null, ...others]) : tenant;
    return { tokens, ...(namespace !== undefined && { namespace }), ...(priority !== undefined && { priority }) };
  };
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
    withdraw: (request) => cache.withdraw?.(request.id),
    reserve: grow,
    release(request) {
      request.kv?.dispose();
      request.kv = undefined;
      cache.withdraw?.(request.id);
    },
    cachedTokens: (request) =>
      request.stream.length > shareUpTo ? 0 : cache.match(promptOf(request, request.stream.length)),
  };
}
