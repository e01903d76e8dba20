import type { Capacity } from '@heddle/batcher';
import type { KvCache, KvPrompt, KvSequence } from '@heddle/kvcache';
import { checkArguments } from '@heddle/tensor';
import { HeldSequences } from './held-sequences.ts';
import type { ScheduledGeneration } from './request.ts';
import { type DeterministicSteps, sharedTokens, wholeChunks } from './steps/step-parts.ts';

/** What decides which requests share what. */
export interface CacheSharing {
  /** Longer sequences share nothing with others, by default all do. */
  readonly shareUpTo?: number;
  /** What computes tokens beside the model (hooks): those that were computed with something else are not shared. */
  readonly computedWith?: string;
  /** Where the caches of requests with `hold` are kept. */
  readonly held?: HeldSequences;
  /** Where only whole chunks of prompts are shared. */
  readonly deterministic?: DeterministicSteps;
}

/**
 * The memory of a cache as a scheduler asks for it: opens, grows and closes the sequences of requests.
 * Only requests of one tenant and adapter share tokens.
 */
export function cacheCapacity(cache: KvCache, options: CacheSharing = {}): Capacity<ScheduledGeneration> {
  checkArguments('cacheCapacity', 'object', { cache, options });
  const { shareUpTo = Number.POSITIVE_INFINITY, computedWith, held = new HeldSequences(), deterministic } = options;
  // names of adapters say nothing outside of their pool: what a store has of them is found by nobody else
  const pool = crypto.randomUUID();
  const promptOf = (request: ScheduledGeneration, length: number): KvPrompt => {
    const { stream, tenant, adapter, priority, promptTokens } = request;
    // a cache gives at most all but the last of what it is asked for
    const asked = deterministic ? sharedTokens(promptTokens, deterministic) + 1 : length;
    const tokens = new Int32Array(asked);
    for (let i = 0; i < asked; i++) tokens[i] = stream[i]!;
    const others = [
      ...(adapter ? [`adapter ${adapter.key} ${pool}`] : []),
      ...(computedWith ? [computedWith] : []),
      ...(deterministic ? [`chunks of ${deterministic.chunkTokens}`] : []),
    ];
    const namespace = others.length > 0 ? JSON.stringify([tenant ?? null, ...others]) : tenant;
    return {
      tokens,
      ...(namespace !== undefined && { namespace }),
      ...(priority !== undefined && { priority }),
      ...(deterministic && { exact: true }),
    };
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
    const most = parent && from && isAlike(parent, request) ? Math.min(request.promptTokens - 1, from.length) : 0;
    const shared = deterministic ? wholeChunks(Math.min(most, parent?.promptTokens ?? 0), deterministic) : most;
    return shared > 0 && beginsWith(request.stream, parent!.stream, shared)
      ? from!.fork(request.id, shared)
      : cache.sequence(request.id, promptOf(request, length));
  };
  const admit = (request: ScheduledGeneration, tokens: number, length: number, running?: ScheduledGeneration) => {
    const parent = running ?? (request.parent === undefined ? undefined : held.get(request.parent));
    const kv = open(request, length, parent);
    if (typeof kv === 'string') return kv;
    if (deterministic) backToWholeChunks(kv, deterministic);
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

/** Forgets what stands after the last whole chunk; a cache may have to forget more, and then again. */
function backToWholeChunks(kv: KvSequence, steps: DeterministicSteps): void {
  for (let whole = wholeChunks(kv.length, steps); kv.length !== whole; whole = wholeChunks(kv.length, steps))
    kv.truncate(whole);
}
