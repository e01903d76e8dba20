import { checkOptions, count, optional } from '../checks.ts';
import { Heap } from '../scheduling/heap.ts';
import type { SequenceRequest } from '../scheduling/scheduler.ts';
import type { Policy, PolicyContext, SequenceView, WaitingQueue } from './policy.ts';

/**
 * Among the `window` requests that came first (default 32), the one with the most tokens in the cache goes first
 * (`Capacity.cachedTokens`): what is shared is used before it is evicted. Whoever was passed over `patience` times
 * (default 64) goes next, so nobody starves.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function longestPrefix(options: { readonly window?: number; readonly patience?: number } = {}): Policy {
  checkOptions('longestPrefix', options, { window: optional(count(1)), patience: optional(count(1)) });
  const { window = 32, patience = 64 } = options;
  return {
    name: 'longest-prefix',
    compare: (a, b) => a.order - b.order,
    createQueue: (context) => new PrefixQueue(context, window, patience),
  };
}

interface Candidate<S> {
  readonly sequence: S;
  passedOver: number;
}

class PrefixQueue<R extends SequenceRequest, S extends SequenceView<R>> implements WaitingQueue<S> {
  readonly #context: PolicyContext<R>;
  readonly #window: number;
  readonly #patience: number;
  readonly #rest: Heap<S> = new Heap((a, b) => a.order - b.order);
  readonly #candidates: Candidate<S>[] = [];
  /** Kept until it is removed: asking again while it finds no room must not let others past. */
  #chosen: S | undefined;

  constructor(context: PolicyContext<R>, window: number, patience: number) {
    this.#context = context;
    this.#window = window;
    this.#patience = patience;
  }

  get size(): number {
    return this.#rest.size + this.#candidates.length;
  }

  push(sequence: S): void {
    this.#rest.push(sequence);
  }

  peek(): S | undefined {
    this.#chosen ??= this.#choose();
    return this.#chosen;
  }

  remove(sequence: S): boolean {
    if (this.#chosen === sequence) this.#chosen = undefined;
    const index = this.#candidates.findIndex((candidate) => candidate.sequence === sequence);
    if (index < 0) return this.#rest.remove(sequence);
    this.#candidates.splice(index, 1);
    return true;
  }

  #choose(): S | undefined {
    while (this.#candidates.length < this.#window && this.#rest.size > 0) {
      this.#candidates.push({ sequence: this.#rest.pop()!, passedOver: 0 });
    }
    let best: S | undefined;
    let most = -1;
    for (const { sequence, passedOver } of this.#candidates) {
      const cached =
        passedOver >= this.#patience ? Number.POSITIVE_INFINITY : this.#context.cachedTokens(sequence.request);
      if (cached > most || (cached === most && sequence.order < best!.order)) {
        best = sequence;
        most = cached;
      }
    }
    for (const candidate of this.#candidates) if (candidate.sequence.order < (best?.order ?? 0)) candidate.passedOver++;
    return best;
  }
}
