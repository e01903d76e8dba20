import type { Capacity } from '@heddle/batcher';
import type { KvCache, KvPrompt, KvSequence } from '@heddle/kvcache';
import { HeldSequences } from './held-sequences.ts';
import type { ScheduledGeneration } from './request.ts';

/**
 * The memory of a cache as a scheduler asks for it: opens, grows and closes the sequences of requests.
 * Only requests of one tenant and adapter share tokens.
 * @param options.shareUpTo longer sequences share nothing with others, by default all do
 * @param options.computedWith what computes tokens beside the model (hooks): those that were computed with something else are not
 *   shared
 * @param options.held where the caches of requests with `hold` are kept
 */
export function cacheCapacity(
  cache: KvCache,
  options: { readonly shareUpTo?: number; readonly computedWith?: string; readonly held?: HeldSequences } = {},
): Capacity<ScheduledGeneration> {
  const { shareUpTo = Number.POSITIVE_INFINITY, computedWith, held = new HeldSequences() } = options;
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
    if (!kv) return false;
    const more = Math.max(0, tokens - kv.length);
    const fits = kv.reserve(more) || (held.clear() && kv.reserve(more));
    if (fits) request.room = tokens;
    return fits;
  };
  const open = (
    request: ScheduledGeneration,
    length: number,
    parent: ScheduledGeneration | undefined,
  ): KvSequence | 'full' | 'pending' => {
    const from = parent?.kv;
    if (Math.max(length, from?.length ?? 0) > shareUpTo) return cache.sequence(request.id);
    const shared = parent && from && isAlike(parent, request) ? Math.min(request.promptTokens - 1, from.length) : 0;
    return shared > 0 && beginsWith(request.stream, parent!.stream, shared)
      ? from!.fork(request.id, shared)
      : cache.sequence(request.id, promptOf(request, length));
  };
  const admit = (request: ScheduledGeneration, tokens: number, length: number, running?: ScheduledGeneration) => {
    const parent = running ?? (request.parent === undefined ? undefined : held.get(request.parent));
    const kv = open(request, length, parent);
    if (typeof kv === 'string') return kv;
    request.kv = kv;
    if (grow(request, tokens)) {
      request.onCached?.(kv.length);
      return kv.length;
    }
    kv.dispose();
    request.kv = undefined;
    return 'full';
  };
  return {
    maxSequenceTokens: cache.maxSequenceTokens,
    admit(request, tokens, length, parent) {
      const found = admit(request, tokens, length, parent);
      return found === 'full' && held.clear() ? admit(request, tokens, length, parent) : found;
    },
    withdraw: (request) => cache.withdraw?.(request.id),
    reserve: grow,
    release(request, why) {
      if (why === 'preempted' || !held.keep(request)) request.kv?.dispose();
      request.kv = undefined;
      cache.withdraw?.(request.id);
    },
    cachedTokens: (request) =>
      request.stream.length > shareUpTo ? 0 : cache.match(promptOf(request, request.stream.length)),
  };
}

/** Whether one may have what was computed for the other. */
function isAlike(a: ScheduledGeneration, b: ScheduledGeneration): boolean {
  return a.adapter?.key === b.adapter?.key && a.tenant === b.tenant;
}

function beginsWith(stream: readonly number[], other: readonly number[], length: number): boolean {
  for (let i = 0; i < length; i++) if (stream[i] !== other[i]) return false;
  return true;
}
