import { AbortWatch } from '../abort-watch.ts';
import { checkCount } from '../checks.ts';
import { RejectedError } from '../errors.ts';
import type {
  Scheduler,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  StepPlan,
  StepResult,
} from '../scheduling/scheduler.ts';
import { nextTurn } from './next-turn.ts';
import { BufferedTokenStream, type TokenStream } from './token-stream.ts';

/** What `run` answers for a plan: as `Scheduler.commit` takes it. */
export type StepResults = readonly (StepResult | undefined)[];

/** How `continuousBatcher` works. */
export interface ContinuousBatcherOptions<R extends SequenceRequest = SequenceRequest> {
  /** Owned by the batcher from now on: nobody else calls it. */
  readonly scheduler: Scheduler<R>;
  /** Computes a step. If it throws, the plan's sequences fail with what it threw, and the others go on. */
  readonly run: (plan: StepPlan<R>) => StepResults | Promise<StepResults>;
  /** Unread tokens of one stream at which its sequence is left out of the steps, until half of them are read. Default 256. */
  readonly highWaterMark?: number;
  /** Steps that are begun before the oldest has ended; at most the scheduler's `maxPlansInFlight`. Default 1. */
  readonly plansInFlight?: number;
  /** How long to wait before asking again when there are requests but none can run, in ms. Default 10. */
  readonly pollMs?: number;
  /** Told of every event of every request. */
  readonly onEvent?: (event: SchedulerEvent<R>) => void;
}

/** What one call of `generate` may add. */
export interface GenerateOptions<R extends SequenceRequest = SequenceRequest> {
  /** Aborts the request: the stream throws the signal's reason at once, its capacity is free within one step. */
  readonly signal?: AbortSignal;
  /** Told of the events of this request. If it throws, the request is aborted and its stream throws the same. */
  readonly onEvent?: (event: SchedulerEvent<R>) => void;
}

/** How `close` treats the requests that are there. */
export interface CloseOptions {
  /** Whether they end at once rather than at their own end. Default false. */
  readonly abort?: boolean;
  /** What their streams throw then. Default RejectedError ERR_CLOSED. */
  readonly reason?: unknown;
}

/** Runs the steps of a scheduler for as long as there are requests, and gives each request a stream of its tokens. */
export interface ContinuousBatcher<R extends SequenceRequest = SequenceRequest> extends AsyncDisposable {
  /** @throws RejectedError (ERR_CLOSED, or as `Scheduler.add` says); the signal's reason if it is aborted already */
  generate(request: R, options?: GenerateOptions<R>): TokenStream;
  /** Resolves when nothing is left to do. Streams whose readers stopped reading keep it waiting. */
  drain(): Promise<void>;
  /** Takes no more requests and drains; with `abort` it ends the present ones, whose streams throw `reason`. */
  close(options?: CloseOptions): Promise<void>;
  readonly load: SchedulerLoad;
}

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
}

class Batcher<R extends SequenceRequest> implements ContinuousBatcher<R> {
  readonly #options: ContinuousBatcherOptions<R>;
  readonly #scheduler: Scheduler<R>;
  readonly #highWaterMark: number;
  readonly #plansInFlight: number;
  readonly #clients: Map<string, Client<R>> = new Map();
  readonly #signals: AbortWatch = new AbortWatch();
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(options: ContinuousBatcherOptions<R>) {
    this.#options = options;
    this.#scheduler = options.scheduler;
    this.#highWaterMark = options.highWaterMark ?? 256;
    this.#plansInFlight = options.plansInFlight ?? 1;
    checkCount('continuousBatcher', 'highWaterMark', this.#highWaterMark, 1);
    checkCount('continuousBatcher', 'plansInFlight', this.#plansInFlight, 1);
  }

  get load(): SchedulerLoad {
    return this.#scheduler.load;
  }

  generate(request: R, { signal, onEvent }: GenerateOptions<R> = {}): TokenStream {
    signal?.throwIfAborted();
    if (this.#closed) throw new RejectedError('ERR_CLOSED', `generate: closed, '${request.id}' is not taken`);
    const { id } = request;
    if (this.#clients.has(id)) throw new RejectedError('ERR_DUPLICATE_ID', `generate: '${id}' has not ended yet`);
    const admission = this.#scheduler.add(request);
    if (!admission.accepted) throw admission.error;
    const stream = new BufferedTokenStream(id, this.#highWaterMark, {
      pause: () => this.#scheduler.pause(id),
      resume: () => this.#tell(() => this.#scheduler.resume(id)),
      abort: () => this.#tell(() => this.#scheduler.abort(id)),
    });
    const cut = () => stream.cut(signal?.reason);
    const detach = signal ? this.#signals.watch(signal, cut) : () => {};
    this.#clients.set(id, { stream, onEvent, detach });
    this.#tell(() => {
      this.#loop ??= this.#run();
    });
    return stream;
  }

  async drain(): Promise<void> {
    while (this.#loop) await this.#loop;
  }

  async close({ abort = false, reason }: CloseOptions = {}): Promise<void> {
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

  /** Changes something, and wakes the loop if it waits for a change. */
  #tell(change: () => void): void {
    change();
    this.#wake?.();
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
        const plan = this.#scheduler.step();
        flights.push({ plan, results: this.#compute(plan) });
        if (plan.sequences.length === 0) break;
      }
      const { plan, results } = flights.shift()!;
      for (const event of this.#commit(plan, await results)) this.#deliver(event);
      const stuck = plan.sequences.length === 0 && flights.length === 0 && !this.#scheduler.idle;
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

  /** Resolves at the next change from outside, or after `pollMs`. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, this.#options.pollMs ?? 10);
      this.#wake = done;
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
