import type { SequenceView } from '../policies/policy.ts';
import type { ScheduledSequence, SequenceRequest, SequenceResult } from './scheduler.ts';

/** Where a sequence is. `held` waits for its parent, `parked` for its reader; both are outside the policy's queue. */
export type SequenceState = 'queued' | 'held' | 'parked' | 'running' | 'finished';

const NO_TOKENS: readonly number[] = [];

/**
 * A request on its way through the continuous scheduler. State and counts change only through its methods. Counts include
 * plans in flight, as if they had succeeded.
 */
export class Sequence<R extends SequenceRequest> implements SequenceView<R> {
  readonly request: R;
  readonly order: number;
  readonly arrival: number;
  readonly deadline: number;
  /** Length of the stream at which nothing is left to generate. */
  readonly limit: number;
  /** Tokens of the stream that need room: the last generated one is never computed. */
  readonly room: number;
  #state: SequenceState = 'queued';
  #waitingSince: number;
  #length: number;
  #computed = 0;
  #settled = 0;
  #newTokens = 0;
  #preemptions = 0;
  #admissions = 0;
  #inFlight = 0;
  #paused = false;
  #pending = false;
  #evicting = false;
  /** Plans in flight that yield what follows. */
  #yielding = 0;
  /** Whether a plan in flight has drafts: how far it gets is known when its result is. */
  #verifying = false;
  #draftsOffered = 0;
  #granted = 0;
  #grantedDrafts = 0;

  constructor(request: R, order: number, arrival: number) {
    this.request = request;
    this.order = order;
    this.arrival = arrival;
    this.deadline = arrival + (request.deadlineMs ?? Number.POSITIVE_INFINITY);
    this.#waitingSince = arrival;
    this.#length = request.promptTokens;
    this.limit = request.promptTokens + request.maxTokens;
    this.room = roomOf(request);
  }

  get state(): SequenceState {
    return this.#state;
  }
  get waitingSince(): number {
    return this.#waitingSince;
  }
  get length(): number {
    return this.#length;
  }
  get computed(): number {
    return this.#computed;
  }
  /** Leading tokens of the stream that committed plans computed. */
  get settled(): number {
    return this.#settled;
  }
  get newTokens(): number {
    return this.#newTokens;
  }
  get preemptions(): number {
    return this.#preemptions;
  }
  /** Plans in flight that contain it. */
  get inFlight(): number {
    return this.#inFlight;
  }
  get paused(): boolean {
    return this.#paused;
  }
  /** Whether the capacity answered 'pending' and has not opened it since. */
  get pending(): boolean {
    return this.#pending;
  }
  /** To be preempted as soon as no plan in flight contains it. */
  get evicting(): boolean {
    return this.#evicting;
  }
  /** Tokens that this step computes, without drafts; 0 if it is left out. */
  get granted(): number {
    return this.#granted;
  }
  /** Whether steps of it yield tokens (rather than the prompt's result alone). */
  get generates(): boolean {
    return this.request.maxTokens > 0;
  }
  /** Tokens that the next step could compute: 1 while decoding, the rest of the prompt before, 0 when there is nothing. */
  get ready(): number {
    if (this.#state !== 'running' || this.#paused || this.#evicting || this.#verifying) return 0;
    if (this.#yielding > 0 && this.request.serial === true) return 0;
    return this.generates && this.#length >= this.limit ? 0 : this.#length - this.#computed;
  }
  /** Drafts that the next step could verify. */
  get readyDrafts(): number {
    return this.#inFlight > 0 ? 0 : Math.max(0, Math.min(this.#draftsOffered, this.limit - 1 - this.#length));
  }

  /** Enters the queue, or waits beside it while it is paused. */
  wait(): void {
    this.#state = this.#paused ? 'parked' : 'queued';
  }

  /** Waits for its parent. */
  hold(): void {
    this.#state = 'held';
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
  }

  /** The capacity is not ready for it. */
  defer(): void {
    this.#pending = true;
  }

  /** Runs, with its first `cachedTokens` tokens in the cache. Whether it ran before. */
  admit(cachedTokens: number): boolean {
    this.#state = 'running';
    this.#pending = false;
    this.#computed = cachedTokens;
    this.#settled = cachedTokens;
    return this.#admissions++ > 0;
  }

  /** Is given `tokens` tokens and `drafts` drafts of the step that is being planned. */
  grant(tokens: number, drafts: number): void {
    this.#granted = tokens;
    this.#grantedDrafts = drafts;
  }

  /** Loses what it was granted; returns how many rows that were. */
  revoke(): number {
    const rows = this.#granted + this.#grantedDrafts;
    this.#granted = 0;
    this.#grantedDrafts = 0;
    return rows;
  }

  /** Puts what it was granted in flight, as if it had succeeded with one new token where it yields. */
  launch(): ScheduledSequence<R> {
    const { request } = this;
    const start = this.#computed;
    const drafts = this.#grantedDrafts;
    const known = start + this.#granted;
    const yields = known === this.#length;
    this.#computed = known;
    if (yields && this.generates) this.#length++;
    this.#inFlight++;
    if (yields) this.#yielding++;
    this.#verifying = drafts > 0;
    this.#draftsOffered = 0;
    this.revoke();
    return { id: request.id, request, start, end: known + drafts, drafts, yields };
  }

  /** Undoes the latest `launch`. */
  recall({ start, yields, drafts }: ScheduledSequence<R>): void {
    this.#inFlight--;
    this.#computed = start;
    if (yields && this.generates) this.#length--;
    if (yields) this.#yielding--;
    if (drafts === 0) return;
    this.#verifying = false;
    this.#draftsOffered = drafts;
  }

  /** Takes the result of its oldest `launch`; returns the new tokens. */
  settle(entry: ScheduledSequence<R>, result: SequenceResult | undefined): readonly number[] {
    const tokens = entry.yields && this.generates ? (result?.tokens ?? NO_TOKENS) : NO_TOKENS;
    const accepted = Math.max(0, tokens.length - 1);
    this.#inFlight--;
    if (entry.yields) this.#yielding--;
    if (entry.drafts > 0) this.#verifying = false;
    this.#length += accepted;
    this.#computed += accepted;
    this.#settled = entry.end - entry.drafts + accepted;
    this.#newTokens += tokens.length;
    this.#draftsOffered = result?.drafts ?? 0;
    return tokens;
  }

  /** A plan that contains it was committed after it had ended. */
  ignore(): void {
    this.#inFlight--;
  }

  /** Is to lose its place when its plans in flight are committed. */
  evict(): void {
    this.#evicting = true;
  }

  /** Loses its place and all that was computed. */
  preempt(now: number): void {
    this.#computed = 0;
    this.#settled = 0;
    this.#draftsOffered = 0;
    this.#evicting = false;
    this.#preemptions++;
    this.#waitingSince = now;
  }

  finish(): void {
    this.#state = 'finished';
  }
}

/** Tokens for which a request needs room at its end. */
export function roomOf({ promptTokens, maxTokens }: SequenceRequest): number {
  return promptTokens + Math.max(maxTokens, 1) - 1;
}
