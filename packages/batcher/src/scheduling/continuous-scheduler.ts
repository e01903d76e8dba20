import {
  aFunction,
  atLeast0,
  checkArgument,
  checkOptions,
  count,
  describe,
  having,
  number,
  optional,
} from '../checks.ts';
import { BatcherError, RejectedError } from '../errors.ts';
import { firstCome } from '../policies/policies.ts';
import type { Policy } from '../policies/policy.ts';
import { type AdmissionRule, optimistic } from './admission.ts';
import type { Capacity } from './capacity.ts';
import { checkChunks, checkResults, refusal } from './checks.ts';
import { Lifecycle } from './lifecycle.ts';
import type {
  Admission,
  ScheduledSequence,
  Scheduler,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  SequenceResult,
  StepPlan,
} from './scheduler.ts';
import { Sequence } from './sequence.ts';
import { StepPlanner } from './step-planner.ts';
import { WaitingRoom } from './waiting-room.ts';

/** How `continuousScheduler` works. */
export interface ContinuousSchedulerOptions<R extends SequenceRequest = SequenceRequest> {
  /** Most token rows in a step. */
  readonly maxBatchTokens: number;
  /** Most sequences that hold capacity at a time. */
  readonly maxSequences: number;
  /** The memory of the sequences. */
  readonly capacity: Capacity<R>;
  /** Who goes first. Default `firstCome()`. */
  readonly policy?: Policy<NoInfer<R>>;
  /** How much room a sequence must find to start. Default `optimistic()`. */
  readonly admission?: AdmissionRule<NoInfer<R>>;
  /** Most prompt tokens of one sequence in a step. Default `maxBatchTokens`. */
  readonly maxChunkTokens?: number;
  /**
   * A chunk that does not end its prompt ends at a multiple of so many tokens, for engines that compute prompts on a grid. A step
   * must have room for one beside the tokens of all other sequences. Default 1.
   */
  readonly chunkMultiple?: number;
  /** Most requests that wait; more are refused with ERR_QUEUE_FULL. Default no limit. */
  readonly maxWaiting?: number;
  /**
   * Most plans that are made and not yet committed. With more than 1, a step is planned before the tokens of the one
   * before it are known: an entry may then start at a token that the engine has only on its device. Default 1.
   */
  readonly maxPlansInFlight?: number;
  /** Time in ms. Default `performance.now`. */
  readonly clock?: () => number;
}

/**
 * Iteration-level scheduling over a token budget (Orca, https://www.usenix.org/conference/osdi22/presentation/yu) with
 * chunked prefill (Sarathi-Serve, https://arxiv.org/abs/2403.02310).
 *
 * A step first gives every decoding sequence its token (and drafts from what is left; half of it while prompts wait),
 * then goes on with the prompts that were begun, then admits who waits. A sequence that finds no room to grow takes it
 * from the last one in the policy's order, which goes back to the queue; nobody is admitted in such a step.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function continuousScheduler<R extends SequenceRequest = SequenceRequest>(
  options: ContinuousSchedulerOptions<R>,
): Scheduler<R> {
  return new ContinuousScheduler(options);
}

/**
 * A plan that is not committed yet, with its sequences in the order of its entries. Used again for later plans; the list is
 * cleared and not cut, for cutting gives its memory back and every step would have to grow it anew.
 */
interface Flight<R extends SequenceRequest> {
  plan: StepPlan<R> | undefined;
  readonly sequences: (Sequence<R> | undefined)[];
}

class ContinuousScheduler<R extends SequenceRequest> implements Scheduler<R> {
  readonly #capacity: Capacity<R>;
  readonly #clock: () => number;
  readonly #maxWaiting: number;
  readonly #maxPlansInFlight: number;
  readonly #lifecycle: Lifecycle<R>;
  readonly #planner: StepPlanner<R>;
  readonly #flights: Flight<R>[] = [];
  readonly #landed: Flight<R>[] = [];
  #order = 0;
  #steps = 0;

  constructor(options: ContinuousSchedulerOptions<R>) {
    checkOptions<ContinuousSchedulerOptions<R>>('continuousScheduler', options, {
      maxBatchTokens: count(1),
      maxSequences: count(1),
      capacity: having('admit', 'reserve', 'release'),
      policy: optional(having('compare')),
      admission: optional(having('tokens')),
      maxChunkTokens: optional(count(1)),
      chunkMultiple: optional(count(1)),
      maxWaiting: optional(atLeast0),
      maxPlansInFlight: optional(count(1)),
      clock: optional(aFunction),
    });
    checkArgument('continuousScheduler', 'capacity.maxSequenceTokens', options.capacity.maxSequenceTokens, number);
    const { maxBatchTokens, maxSequences, maxChunkTokens = maxBatchTokens, maxPlansInFlight = 1 } = options;
    const { capacity, policy = firstCome(), admission = optimistic(), chunkMultiple = 1 } = options;
    const limits = { maxBatchTokens, maxSequences, maxChunkTokens, chunkMultiple };
    checkChunks(limits);
    this.#capacity = capacity;
    this.#clock = options.clock ?? (() => performance.now());
    this.#maxWaiting = options.maxWaiting ?? Number.POSITIVE_INFINITY;
    this.#maxPlansInFlight = maxPlansInFlight;
    const waiting = new WaitingRoom<R>(policy, { cachedTokens: (request) => capacity.cachedTokens?.(request) ?? 0 });
    this.#lifecycle = new Lifecycle<R>(capacity, waiting, (sequence) => admission.finished?.(sequence));
    this.#planner = new StepPlanner<R>(this.#lifecycle, capacity, policy, admission, limits);
  }

  get idle(): boolean {
    return this.#lifecycle.idle;
  }

  get load(): SchedulerLoad {
    const { waiting, running } = this.#lifecycle;
    return { waiting: waiting.size, running: running.length, plansInFlight: this.#flights.length };
  }

  add(request: R): Admission {
    const now = this.#clock();
    const { alive, waiting } = this.#lifecycle;
    const error =
      refusal(request, alive.has(request?.id), this.#capacity.maxSequenceTokens) ??
      (waiting.size >= this.#maxWaiting ? this.#queueFull() : undefined);
    if (error) return { accepted: false, error };
    this.#lifecycle.enter(new Sequence(request, this.#order++, now));
    return { accepted: true };
  }

  step(): StepPlan<R> {
    if (this.#flights.length >= this.#maxPlansInFlight) {
      const limit = `maxPlansInFlight is ${this.#maxPlansInFlight}`;
      throw new BatcherError('ERR_PROTOCOL', `step: ${limit} and all are in flight; commit or discard one first`);
    }
    this.#lifecycle.now = this.#clock();
    this.#lifecycle.expire();
    this.#lifecycle.compact();
    this.#lifecycle.waiting.retryDeferred();
    this.#planner.plan();
    return this.#launch();
  }

  commit(plan: StepPlan<R>, results: readonly (SequenceResult | undefined)[]): SchedulerEvent<R>[] {
    const flight = this.#flights[0];
    if (!flight || flight.plan !== plan)
      throw new BatcherError('ERR_PROTOCOL', `commit: ${nameOf(plan)} is not the oldest plan in flight`);
    const { sequences } = flight;
    checkResults(plan, results, sequences);
    this.#flights.shift();
    this.#lifecycle.now = this.#clock();
    for (let i = 0; i < plan.sequences.length; i++) {
      const sequence = sequences[i]!;
      if (sequence.state === 'finished') {
        sequence.ignore();
        this.#lifecycle.close(sequence);
      } else this.#take(sequence, plan.sequences[i]!, results[i]);
    }
    this.#land(flight);
    return this.#lifecycle.takeEvents();
  }

  discard(plan: StepPlan<R>): void {
    const first = this.#flights.findIndex((flight) => flight.plan === plan);
    if (first < 0) throw new BatcherError('ERR_PROTOCOL', `discard: ${nameOf(plan)} is not in flight`);
    while (this.#flights.length > first) {
      const flight = this.#flights.pop()!;
      const entries = flight.plan!.sequences;
      for (let i = 0; i < entries.length; i++) this.#recall(flight.sequences[i]!, entries[i]!);
      this.#land(flight);
    }
  }

  abort(id: string): boolean {
    const sequence = this.#find(id);
    if (!sequence) return false;
    this.#lifecycle.now = this.#clock();
    this.#lifecycle.finish(sequence, 'aborted');
    this.#lifecycle.compact();
    return true;
  }

  pause(id: string): boolean {
    return this.#setPaused(id, true);
  }

  resume(id: string): boolean {
    return this.#setPaused(id, false);
  }

  #find(id: string): Sequence<R> | undefined {
    const sequence = this.#lifecycle.alive.get(id);
    return sequence?.state === 'finished' ? undefined : sequence;
  }

  #setPaused(id: string, paused: boolean): boolean {
    const sequence = this.#find(id);
    if (!sequence || sequence.paused === paused) return false;
    const { waiting } = this.#lifecycle;
    const waits = sequence.state === 'queued' || sequence.state === 'parked';
    if (waits) waiting.remove(sequence);
    sequence.setPaused(paused);
    if (waits) waiting.enter(sequence);
    return true;
  }

  #queueFull(): RejectedError {
    const { waiting, finishRate } = this.#lifecycle;
    const retryAfterMs = finishRate.timeFor(waiting.size / 2);
    const what = `add: ${waiting.size} requests wait and maxWaiting is ${this.#maxWaiting}; retry in ${retryAfterMs} ms`;
    return new RejectedError('ERR_QUEUE_FULL', what, retryAfterMs);
  }

  /** Turns what was granted into a plan in flight. */
  #launch(): StepPlan<R> {
    const { running } = this.#lifecycle;
    const flight = this.#landed.pop() ?? { plan: undefined, sequences: [] };
    const { sequences } = flight;
    let count = 0;
    for (const sequence of running) if (sequence.granted > 0 && sequence.ready === 1) sequences[count++] = sequence;
    for (const sequence of running) if (sequence.granted > 0 && sequence.ready > 1) sequences[count++] = sequence;
    const entries = new Array<ScheduledSequence<R>>(count);
    let tokens = 0;
    for (let i = 0; i < count; i++) {
      const entry = sequences[i]!.launch();
      entries[i] = entry;
      tokens += entry.end - entry.start;
    }
    const plan: StepPlan<R> = { step: this.#steps++, sequences: entries, tokens };
    flight.plan = plan;
    this.#flights.push(flight);
    return plan;
  }

  /** Takes one sequence's result. */
  #take(sequence: Sequence<R>, entry: ScheduledSequence<R>, result: SequenceResult | undefined): void {
    const tokens = sequence.settle(entry, result);
    const first = sequence.newTokens - tokens.length;
    for (let i = 0; i < tokens.length; i++) this.#lifecycle.token(sequence, tokens[i]!, first + i);
    if (tokens.length > 0) this.#lifecycle.waiting.charge(sequence, 0, tokens.length);
    const complete = entry.yields && sequence.newTokens >= sequence.request.maxTokens;
    const finish = result?.finish ?? (complete ? 'length' : undefined);
    if (finish) this.#lifecycle.finish(sequence, finish, result?.error);
    else this.#lifecycle.waiting.releaseChildren(sequence.request.id, sequence.settled);
  }

  #recall(sequence: Sequence<R>, entry: ScheduledSequence<R>): void {
    sequence.recall(entry);
    if (sequence.state === 'finished') this.#lifecycle.close(sequence);
  }

  #land(flight: Flight<R>): void {
    flight.sequences.fill(undefined, 0, flight.plan!.sequences.length);
    flight.plan = undefined;
    this.#landed.push(flight);
    this.#lifecycle.compact();
  }
}

/** A plan, or what came in its place, for messages. */
function nameOf(plan: unknown): string {
  const step = typeof plan === 'object' && plan !== null && 'step' in plan ? plan.step : undefined;
  return typeof step === 'number' ? `step ${step}` : describe(plan);
}
