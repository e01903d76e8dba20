import type { RejectedError } from '../errors.ts';

/**
 * What a scheduler knows of a request: counts and wishes, never token values. Engines extend it with their own state
 * (tokens, sampler, cache handle) and find it again on every plan entry and event.
 *
 * Its *stream* is the prompt followed by the generated tokens; positions in it count from 0.
 */
export interface SequenceRequest {
  /** Unique among the requests that are alive. */
  readonly id: string;
  /** Tokens of the prompt, at least 1. */
  readonly promptTokens: number;
  /** Most tokens to generate; 0 computes the prompt and generates nothing (embeddings, scoring). */
  readonly maxTokens: number;
  /** Higher goes first, where the policy looks at it. Default 0. */
  readonly priority?: number;
  /** Who shares with whom, where the policy is fair by tenant. Default ''. */
  readonly tenant?: string;
  /** Milliseconds from its `add` after which the request is finished with reason 'deadline', wherever it stands. */
  readonly deadlineMs?: number;
  /** A guess of how many tokens will be generated. Default `maxTokens`. */
  readonly expectedTokens?: number;
  /**
   * Id of a living request whose stream starts with the same `promptTokens - 1` tokens: n samples (add one request, then
   * the others with it as parent), beams (after a commit, add a child with `promptTokens` = length of the parent). The
   * child waits until the parent has computed them, and may then share its cache (`Capacity.admit`).
   */
  readonly parent?: string;
  /**
   * Whether its next step may only be planned when the result of the one before is known: its tokens are chosen, or its
   * drafts made, on the host. Others are planned ahead of it all the same. Looked at whenever a step is planned, so a request
   * may change it. Default false.
   */
  readonly serial?: boolean;
}

/** Whether a request was taken. A refused one leaves nothing behind; `error` says why and when to come back. */
export type Admission = { readonly accepted: true } | { readonly accepted: false; readonly error: RejectedError };

/** One sequence's part of a step: compute the tokens [start, end) of its stream, at those positions. */
export interface ScheduledSequence<R extends SequenceRequest = SequenceRequest> {
  readonly id: string;
  readonly request: R;
  /** First position to compute. Lower than the last step's `end` where drafts were rejected: drop the cache from here on. */
  readonly start: number;
  readonly end: number;
  /** The last `drafts` of the tokens [start, end) are speculative, to be verified. The engine may compute fewer. */
  readonly drafts: number;
  /** Whether the step yields what follows: the next token (several with drafts), or the prompt's result if `maxTokens` is 0. */
  readonly yields: boolean;
}

/** What to compute next: decoding sequences first, then prompt chunks. Never over the budget, the slots or the capacity. */
export interface StepPlan<R extends SequenceRequest = SequenceRequest> {
  /** Running number, from 0. */
  readonly step: number;
  readonly sequences: readonly ScheduledSequence<R>[];
  /** Token rows, the sum of `end - start`. */
  readonly tokens: number;
}

/** What a step gave for one sequence. */
export interface SequenceResult {
  /**
   * The tokens after `end - drafts`: exactly one, or up to `drafts` accepted ones and the one after them; none if
   * `maxTokens` is 0 or `finish` is 'error'.
   */
  readonly tokens: readonly number[];
  /** Ends the sequence after these tokens. ('length' at `maxTokens` comes by itself.) */
  readonly finish?: 'stop' | 'error';
  readonly error?: unknown;
  /** Draft tokens that the engine has ready for this sequence's next step; the plan takes as many as fit. */
  readonly drafts?: number;
}

/** Why a sequence ended. */
export type FinishReason = 'stop' | 'length' | 'aborted' | 'deadline' | 'error';

/** What happened to a request, in order. A preempted one is admitted again and goes on with the next token. */
export type SchedulerEvent<R extends SequenceRequest = SequenceRequest> = {
  readonly id: string;
  readonly request: R;
  /** Clock time, ms. */
  readonly time: number;
} & (
  | { readonly type: 'admitted'; readonly cachedTokens: number; readonly waitMs: number; readonly resumed: boolean }
  | { readonly type: 'firstToken'; readonly sinceArrivalMs: number }
  /** `index` counts the generated tokens from 0; the first one follows its `firstToken`. */
  | { readonly type: 'token'; readonly token: number; readonly index: number }
  /** Its cache was released; `computedTokens` will be computed again. */
  | { readonly type: 'preempted'; readonly computedTokens: number }
  | {
      readonly type: 'finished';
      readonly reason: FinishReason;
      readonly newTokens: number;
      readonly sinceArrivalMs: number;
      readonly error?: unknown;
    }
);

/** Where a scheduler stands. */
export interface SchedulerLoad {
  /** Requests that are not running: queued, preempted, or waiting for a parent or a slow reader. */
  readonly waiting: number;
  /** Sequences that hold capacity. */
  readonly running: number;
  /** Plans that were made and not yet committed. */
  readonly plansInFlight: number;
}

/**
 * Decides, step by step, which tokens of which sequences are computed together. Synchronous, no I/O, an injected clock:
 * the same calls at the same times give the same plans.
 *
 * The loop is `plan = step()`, compute it, `commit(plan, results)`; every plan is committed or discarded, empty ones too.
 */
export interface Scheduler<R extends SequenceRequest = SequenceRequest> {
  /** Takes a request or refuses it at once (queue full, larger than the capacity, id in use, nonsense). */
  add(request: R): Admission;
  /** Plans the next step. @throws BatcherError ERR_PROTOCOL while `maxPlansInFlight` plans are not committed */
  step(): StepPlan<R>;
  /**
   * Takes the oldest plan's results, `results[i]` for `plan.sequences[i]`: needed where it yields, otherwise only to end a
   * sequence by 'error'. Results of sequences that ended meanwhile are ignored. Returns all events since the last commit.
   * @throws BatcherError ERR_PROTOCOL, before anything changes, for another plan or results that do not fit
   */
  commit(plan: StepPlan<R>, results: readonly (SequenceResult | undefined)[]): SchedulerEvent<R>[];
  /** Takes back a plan that was not computed, and every later one. */
  discard(plan: StepPlan<R>): void;
  /** Ends a request with reason 'aborted'. Its capacity is free at once, or when the plans that contain it are committed. */
  abort(id: string): boolean;
  /** Leaves a sequence out of the steps to come until `resume`; meanwhile it is the first to lose its place to others. */
  pause(id: string): boolean;
  /** Takes a paused sequence along again; false where none of that id is alive. */
  resume(id: string): boolean;
  /** Whether nothing is alive and no event is left to deliver. (Plans still in flight are empty then.) */
  readonly idle: boolean;
  readonly load: SchedulerLoad;
}
