import type { KvSequence } from '@heddle/kvcache';
import type { ScheduledGeneration } from './request.ts';

/** The caches of requests that have ended, for requests that go on from them; given up where there is no room otherwise. */
export class HeldSequences {
  readonly #held = new Map<string, ScheduledGeneration & { readonly kv: KvSequence }>();
  /** Requests whose caches are to be kept: one that is given up while its last step is on its way is not. */
  readonly #wanted = new Set<string>();

  want(id: string): void {
    this.#wanted.add(id);
  }

  get(id: string): ScheduledGeneration | undefined {
    return this.#held.get(id);
  }

  /** Takes the cache of a request that has ended as it wanted to. @returns whether it did */
  keep(request: ScheduledGeneration): boolean {
    const { id, hold, kv, stream, promptTokens, maxTokens, stranded } = request;
    const isWhole = !stranded && stream.length >= promptTokens + maxTokens;
    if (!hold || !kv || !isWhole || !this.#wanted.has(id)) {
      this.#wanted.delete(id);
      return false;
    }
    this.#held.get(id)?.kv.dispose();
    this.#held.set(id, { ...request, kv });
    return true;
  }

  drop(id: string): void {
    this.#wanted.delete(id);
    this.#held.get(id)?.kv.dispose();
    this.#held.delete(id);
  }

  /** Gives all of them up. @returns whether there were any */
  clear(): boolean {
    const any = this.#held.size > 0;
    for (const id of [...this.#held.keys()]) this.drop(id);
    return any;
  }
}
