import type { KvSequence } from '@heddle/kvcache';
import type { ScheduledGeneration } from './request.ts';

/** The caches of requests that have ended, for requests that go on from them; given up where there is no room otherwise. */
export class HeldSequences {
  readonly #held = new Map<string, ScheduledGeneration & { readonly kv: KvSequence }>();

  get(id: string): ScheduledGeneration | undefined {
    return this.#held.get(id);
  }

  /** Takes the cache of a request that has ended as it wanted to. @returns whether it did */
  keep(request: ScheduledGeneration): boolean {
    const { id, hold, kv, stream, promptTokens, maxTokens, stranded } = request;
    if (!hold || !kv || stranded || stream.length < promptTokens + maxTokens) return false;
    this.drop(id);
    this.#held.set(id, { ...request, kv });
    return true;
  }

  drop(id: string): void {
    this.#held.get(id)?.kv.dispose();
    this.#held.delete(id);
  }

  /** Gives all of them up. @returns whether there were any */
  clear(): boolean {
    const any = this.#held.size > 0;
    for (const { kv } of this.#held.values()) kv.dispose();
    this.#held.clear();
    return any;
  }
}
