import type { SequenceView } from '../policies/policy.ts';
import type { SequenceRequest } from './scheduler.ts';

/** Where a sequence is. `held` waits for its parent, `parked` for its reader; both are outside the policy's queue. */
export type SequenceState = 'queued' | 'held' | 'parked' | 'running' | 'finished';

/** A request on its way through the continuous scheduler. Counts include plans in flight, as if they had succeeded. */
export class Sequence<R extends SequenceRequest> implements SequenceView<R> {
  readonly request: R;
  readonly order: number;
  readonly arrival: number;
  /** Length of the stream at which nothing is left to generate. */
  readonly limit: number;
  /** Tokens of the stream that need room: the last generated one is never computed. */
  readonly room: number;
  state: SequenceState = 'queued';
  waitingSince: number;
  length: number;
  computed = 0;
  /** Leading tokens of the stream that committed plans computed. */
  settled = 0;
  newTokens = 0;
  preemptions = 0;
  admissions = 0;
  inFlight = 0;
  paused = false;
  /** To be preempted as soon as no plan in flight contains it. */
  evicting = false;
  draftsInFlight = false;
  draftsWanted = 0;
  planned = 0;
  plannedDrafts = 0;

  constructor(request: R, order: number, arrival: number) {
    this.request = request;
    this.order = order;
    this.arrival = arrival;
    this.waitingSince = arrival;
    this.length = request.promptTokens;
    this.limit = request.promptTokens + request.maxTokens;
    this.room = roomOf(request);
  }

  /** Whether steps of it yield tokens (rather than the prompt's result alone). */
  get generates(): boolean {
    return this.request.maxTokens > 0;
  }

  /** Tokens that the next step could compute: 1 while decoding, the rest of the prompt before, 0 when there is nothing. */
  get ready(): number {
    if (this.state !== 'running' || this.paused || this.evicting || this.draftsInFlight) return 0;
    return this.generates && this.length >= this.limit ? 0 : this.length - this.computed;
  }
}

/** Tokens for which a request needs room at its end. */
export function roomOf({ promptTokens, maxTokens }: SequenceRequest): number {
  return promptTokens + Math.max(maxTokens, 1) - 1;
}
