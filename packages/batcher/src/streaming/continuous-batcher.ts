import { AbortWatch } from '../abort-watch.ts';
import {
  aBoolean,
  aFunction,
  anything,
  signal as aSignal,
  checkArgument,
  checkOptions,
  count,
  having,
  object,
  optional,
} from '../checks.ts';
import { RejectedError } from '../errors.ts';
import type { Scheduler, SchedulerEvent, SchedulerLoad, SequenceRequest, StepPlan } from '../scheduling/scheduler.ts';
import type {
  CloseOptions,
  ContinuousBatcher,
  ContinuousBatcherOptions,
  GenerateOptions,
  StepResults,
} from './batcher.ts';
import { nextTurn } from './next-turn.ts';
import { BufferedTokenStream, type TokenStream } from './token-stream.ts';

/**
 * The loop around a scheduler: plan, run, commit, hand the tokens to their readers.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function continuousBatcher<R extends SequenceRequest = SequenceRequest>(
  options: ContinuousBatcherOptions<R>,
): ContinuousBatcher<R> {
  return new Batcher(options);
}

interface Client<R extends SequenceRequest> {
  readonly stream: BufferedTokenStream;
  readonly onEvent: ((event: SchedulerEvent<R>) => void) | undefined;
  /** Lets go of the signal. */
  readonly detach: () => void;
  /** `performance.now` time of its deadline. */
  readonly deadline: number;
}

/** Timers count in 31 bits. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
/** Where the scheduler's clock says that a deadline has not come that has by `performance.now`: when to ask it again. */
const OVERDUE_MS = 10;

class Batcher<R extends SequenceRequest> implements ContinuousBatcher<R> {
  readonly #options: ContinuousBatcherOptions<R>;
  readonly #scheduler: Scheduler<R>;
  readonly #highWaterMark: number;
  readonly #plansInFlight: number;
  readonly #clients: Map<string, Client<R>> = new Map();
  readonly #signals: AbortWatch = new AbortWatch();
  #loop: Promise<void> | undefined;
  /** Ends the loop's waiting. */
  #resume: (() => void) | undefined;
  /** Whether something has changed since the latest step was planned. */
  #changed = false;
  #closed = false;

  constructor(options: ContinuousBatcherOptions<R>) {
    checkOptions<ContinuousBatcherOptions<R>>('continuousBatcher', options, {
      scheduler: having('add', 'step', 'commit', 'abort', 'pause', 'resume'),
      run: aFunction,
      highWaterMark: optional(count(1)),
      plansInFlight: optional(count(1)),
      onEvent: optional(aFunction),
    });
    this.#options = options;
    this.#scheduler = options.scheduler;
    this.#highWaterMark = options.highWaterMark ?? 256;
    this.#plansInFlight = options.plansInFlight ?? 1;
  }

  get load(): SchedulerLoad {
    return this.#scheduler.load;
  }

  generate(request: R, options: GenerateOptions<R> = {}): TokenStream {
    checkArgument('generate', 'a request', request, object);
    checkOptions('generate', options, { signal: optional(aSignal), onEvent: optional(aFunction) });
    const { signal, onEvent } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw new RejectedError('ERR_CLOSED', `generate: closed, '${request.id}' is not taken`);
    const { id } = request;
    if (this.#clients.has(id)) throw new RejectedError('ERR_DUPLICATE_ID', `generate: '${id}' has not ended yet`);
    const admission = this.#scheduler.add(request);
    if (!admission.accepted) throw calledGenerate(admission.error);
    const stream = new BufferedTokenStream(id, this.#highWaterMark, {
      pause: () => this.#scheduler.pause(id),
      resume: () => this.#tell(() => this.#scheduler.resume(id)),
      abort: () => this.#tell(() => this.#scheduler.abort(id)),
    });
    const cut = () => stream.cut(signal?.reason);
    const detach = signal ? this.#signals.watch(signal, cut) : () => {};
    const deadline = performance.now() + (request.deadlineMs ?? Number.POSITIVE_INFINITY);
    this.#clients.set(id, { stream, onEvent, detach, deadline });
    this.#tell(() => {
      this.#loop ??= this.#run();
    });
    return stream;
  }

  async drain(): Promise<void> {
    while (this.#loop) await this.#loop;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close', options, { abort: optional(aBoolean), reason: anything });
    const { abort = false, reason } = options;
    this.#closed = true;
    if (abort) {
      const closed = 'close: the batcher was closed before the request had ended';
      const thrown = reason ?? new RejectedError('ERR_CLOSED', closed);
      for (const { stream } of [...this.#clients.values()]) stream.cut(thrown);
    }
    await this.drain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  wake(): void {
    this.#changed = true;
    this.#resume?.();
  }

  /** Changes something, and wakes the loop if it waits for a change. */
  #tell(change: () => void): void {
    change();
    this.wake();
  }

  async #run(): Promise<void> {
    try {
      // Requests that come in the same turn start in the same step.
      await nextTurn();
      await this.#steps();
    } catch (error) {
      this.#fail(error);
    }
    // A request may have come between the last look and here.
    this.#loop = this.#clients.size > 0 ? this.#run() : undefined;
  }

  async #steps(): Promise<void> {
    const flights: { readonly plan: StepPlan<R>; readonly results: Promise<StepResults> }[] = [];
    while (!this.#scheduler.idle || flights.length > 0) {
      while (flights.length < this.#plansInFlight && !this.#scheduler.idle) {
        this.#changed = false;
        const plan = this.#scheduler.step();
        flights.push({ plan, results: this.#compute(plan) });
        if (plan.sequences.length === 0) break;
      }
      const { plan, results } = flights.shift()!;
      const events = this.#commit(plan, await results);
      for (const event of events) this.#deliver(event);
      const nothing = plan.sequences.length === 0 && events.length === 0;
      const stuck = nothing && flights.length === 0 && !this.#scheduler.idle;
      await (stuck ? this.#change() : nextTurn());
    }
  }

  /** Runs a plan; never rejects, so that a plan waiting for its turn cannot be an unhandled rejection. */
  async #compute(plan: StepPlan<R>): Promise<StepResults> {
    if (plan.sequences.length === 0) return [];
    try {
      return await this.#options.run(plan);
    } catch (error) {
      return failed(plan, error);
    }
  }

  #commit(plan: StepPlan<R>, results: StepResults): readonly SchedulerEvent<R>[] {
    try {
      return this.#scheduler.commit(plan, results);
    } catch (error) {
      // Results that do not fit the plan are the fault of `run`.
      return this.#scheduler.commit(plan, failed(plan, error));
    }
  }

  #deliver(event: SchedulerEvent<R>): void {
    this.#options.onEvent?.(event);
    const client = this.#clients.get(event.id);
    if (!client) return;
    try {
      client.onEvent?.(event);
    } catch (error) {
      client.stream.cut(error);
    }
    if (event.type === 'token') client.stream.push(event.token);
    else if (event.type === 'finished') {
      this.#clients.delete(event.id);
      client.detach();
      const { reason, newTokens, error } = event;
      client.stream.end(error === undefined ? { reason, newTokens } : { reason, newTokens, error });
    }
  }

  /** Resolves at the next change from outside, or when a deadline comes. */
  #change(): Promise<void> {
    if (this.#changed) return nextTurn();
    return new Promise((resolve) => {
      const deadline = Math.min(...[...this.#clients.values()].map((client) => client.deadline));
      const leftMs = deadline - performance.now();
      const waitMs = leftMs > 0 ? Math.ceil(leftMs) : OVERDUE_MS;
      const timer =
        deadline < Number.POSITIVE_INFINITY
          ? setTimeout(() => this.#resume?.(), Math.min(LONGEST_TIMEOUT_MS, waitMs))
          : undefined;
      this.#resume = () => {
        clearTimeout(timer);
        this.#resume = undefined;
        resolve();
      };
    });
  }

  /** The scheduler or an observer threw: nothing can go on, and nobody may be left waiting. */
  #fail(error: unknown): void {
    this.#closed = true;
    for (const [id, { stream, detach }] of this.#clients) {
      detach();
      stream.end({ reason: 'error', newTokens: stream.received, error });
      try {
        this.#scheduler.abort(id);
      } catch {
        // a scheduler that is broken cannot be asked to let go, and what broke it is what the streams throw
      }
    }
    this.#clients.clear();
  }
}

function failed(plan: StepPlan, error: unknown): StepResults {
  return plan.sequences.map(() => ({ tokens: [], finish: 'error', error }));
}

/** The scheduler's refusal, by the name of what was called. */
const calledGenerate = ({ code, message, retryAfterMs }: RejectedError): RejectedError =>
  new RejectedError(code, message.replace(/^add: /, 'generate: '), retryAfterMs);
