import { BatcherError } from '../errors.ts';
import type { Policy } from '../policies/policy.ts';
import type { AdmissionRule } from './admission.ts';
import type { Capacity } from './capacity.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { SequenceRequest } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

/** What a step may hold. */
export interface StepLimits {
  readonly maxBatchTokens: number;
  readonly maxChunkTokens: number;
  readonly maxSequences: number;
  /** Where chunks end that do not end their prompt: at multiples of so many tokens. */
  readonly chunkMultiple: number;
}

/** Decides what a step computes: grants tokens and drafts to the running sequences. */
export class StepPlanner<R extends SequenceRequest> {
  readonly #lifecycle: Lifecycle<R>;
  readonly #capacity: Capacity<R>;
  readonly #policy: Policy<R>;
  readonly #admission: AdmissionRule<R>;
  readonly #limits: StepLimits;
  #budget = 0;
  /** Whether someone had to give up room in this step. */
  #crowded = false;

  constructor(
    lifecycle: Lifecycle<R>,
    capacity: Capacity<R>,
    policy: Policy<R>,
    admission: AdmissionRule<R>,
    limits: StepLimits,
  ) {
    this.#lifecycle = lifecycle;
    this.#capacity = capacity;
    this.#policy = policy;
    this.#admission = admission;
    this.#limits = limits;
  }

  plan(): void {
    this.#budget = this.#limits.maxBatchTokens;
    this.#crowded = false;
    this.#evict();
    this.#planDecodes();
    this.#planChunks();
    this.#lifecycle.compact();
    if (!this.#crowded) this.#admit();
  }

  /** Preempts who had to wait for its plans in flight. */
  #evict(): void {
    for (const sequence of this.#lifecycle.running) {
      if (sequence.evicting && sequence.inFlight === 0) this.#preempt(sequence);
    }
  }

  /** One token for everyone who decodes; then drafts, from half of what is left while prompts wait for it. */
  #planDecodes(): void {
    const { running, waiting } = this.#lifecycle;
    let decodes = 0;
    let prompts = waiting.size > 0;
    for (const { ready } of running) {
      if (ready === 1) decodes++;
      else if (ready > 1) prompts = true;
    }
    const left = Math.max(0, this.#budget - decodes);
    let drafts = prompts ? Math.min(left >> 1, Math.max(0, left - this.#limits.chunkMultiple)) : left;
    for (const sequence of running) {
      if (this.#budget === 0) return;
      if (sequence.ready !== 1) continue;
      const granted = this.#grow(sequence, sequence.length, Math.min(sequence.readyDrafts, drafts));
      if (granted === undefined) continue;
      drafts -= granted;
      this.#grant(sequence, 1, granted);
    }
  }

  /** Goes on with the prompts that were begun. */
  #planChunks(): void {
    for (const sequence of this.#lifecycle.running) {
      if (this.#budget === 0) return;
      if (sequence.ready <= 1) continue;
      const tokens = this.#chunk(sequence);
      if (tokens === 0) continue;
      if (this.#grow(sequence, sequence.computed + tokens, 0) !== undefined) this.#grant(sequence, tokens, 0);
    }
  }

  /** Begins with those who wait, in the policy's order, until one finds no room. */
  #admit(): void {
    const { running, waiting } = this.#lifecycle;
    while (this.#budget > 0) {
      const sequence = waiting.peek();
      if (!sequence) return;
      if (running.length >= this.#limits.maxSequences) {
        if (this.#displaceFor(sequence)) continue;
        return;
      }
      // nobody begins who could not go on to the end of a chunk
      if (this.#budget < Math.min(sequence.length, this.#limits.chunkMultiple)) return;
      const tokens = Math.min(sequence.room, Math.max(sequence.length, this.#admission.tokens(sequence)));
      const found = this.#capacity.admit(sequence.request, tokens, sequence.length, this.#parentOf(sequence));
      if (found === 'pending') waiting.defer(sequence);
      else if (found === 'full') {
        if (this.#displaceFor(sequence)) continue;
        if (running.length > 0) return;
        this.#refuse(sequence, `no room for its ${tokens} tokens although nothing runs`);
      } else {
        // The last known token is computed again even on a full hit: its result is what comes next.
        this.#lifecycle.admitted(sequence, Math.max(0, Math.min(found, sequence.length - 1)));
        this.#grant(sequence, this.#chunk(sequence), 0);
      }
    }
  }

  /** Tokens that a sequence computes of those that are known; 0 where no end of a chunk is within what is left. */
  #chunk({ ready, computed }: Sequence<R>): number {
    const { maxChunkTokens, chunkMultiple } = this.#limits;
    const most = Math.min(ready, this.#budget, maxChunkTokens);
    if (most === ready || chunkMultiple === 1) return most;
    const end = computed + most;
    return Math.max(0, end - (end % chunkMultiple) - computed);
  }

  #grant(sequence: Sequence<R>, tokens: number, drafts: number): void {
    sequence.grant(tokens, drafts);
    this.#budget -= tokens + drafts;
  }

  /** The parent whose cache can be shared: it holds all the tokens that the child wants of it. */
  #parentOf({ request }: Sequence<R>): R | undefined {
    const parent = request.parent === undefined ? undefined : this.#lifecycle.alive.get(request.parent);
    const shares = parent?.state === 'running' && parent.settled >= request.promptTokens - 1;
    return shares ? parent.request : undefined;
  }

  /**
   * Makes room for `tokens` tokens and, if it can be had without taking it from others, for `drafts` more. Returns the
   * drafts granted, or undefined if the sequence must sit this step out.
   */
  #grow(sequence: Sequence<R>, tokens: number, drafts: number): number | undefined {
    const { request } = sequence;
    if (drafts > 0 && this.#capacity.reserve(request, tokens + drafts)) return drafts;
    while (!this.#capacity.reserve(request, tokens)) {
      this.#crowded = true;
      const victim = this.#last();
      if (!victim) return undefined;
      if (victim.inFlight > 0) {
        this.#revoke(victim);
        victim.evict();
        return undefined;
      }
      if (victim === sequence && this.#alone(sequence)) {
        this.#refuse(sequence, `no room for its first ${tokens} tokens although it runs alone`);
        return undefined;
      }
      this.#preempt(victim);
      if (victim === sequence) return undefined;
    }
    return 0;
  }

  /** Who gives up room first: who is paused, else the last in the policy's order; nobody while room is about to be freed. */
  #last(): Sequence<R> | undefined {
    let last: Sequence<R> | undefined;
    for (const sequence of this.#lifecycle.running) {
      if (sequence.state === 'finished' && sequence.inFlight > 0) return undefined;
      if (sequence.evicting) return undefined;
      if (sequence.state === 'running' && (!last || this.#goesBefore(last, sequence))) last = sequence;
    }
    return last;
  }

  #goesBefore(a: Sequence<R>, b: Sequence<R>): boolean {
    return a.paused === b.paused ? this.#policy.compare(a, b) < 0 : b.paused;
  }

  #alone(sequence: Sequence<R>): boolean {
    return this.#lifecycle.running.every(
      (other) => other === sequence || (other.state !== 'running' && other.inFlight === 0),
    );
  }

  /** Takes the place of a paused sequence or, where the policy is preemptive, of one that comes later, for `sequence`. */
  #displaceFor(sequence: Sequence<R>): boolean {
    const victim = this.#last();
    if (!victim || victim.inFlight > 0) return false;
    const may = victim.paused || (this.#policy.preemptive === true && this.#policy.compare(sequence, victim) < 0);
    if (!may) return false;
    this.#preempt(victim);
    this.#lifecycle.compact();
    return true;
  }

  #preempt(victim: Sequence<R>): void {
    this.#revoke(victim);
    this.#lifecycle.preempt(victim);
  }

  /** Takes back what this step had granted. */
  #revoke(sequence: Sequence<R>): void {
    this.#budget += sequence.revoke();
  }

  #refuse(sequence: Sequence<R>, why: string): void {
    const message = `step: the capacity refused request '${sequence.request.id}' (maxSequenceTokens ${this.#capacity.maxSequenceTokens}): ${why}`;
    this.#lifecycle.finish(sequence, 'error', new BatcherError('ERR_CAPACITY', message));
  }
}
