/// <reference lib="esnext.disposable" preserve="true" />
import type {
  Scheduler,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  SequenceResult,
  StepPlan,
} from '../scheduling/scheduler.ts';
import type { TokenStream } from './token-stream.ts';

/** What `run` answers for a plan: as `Scheduler.commit` takes it. */
export type StepResults = readonly (SequenceResult | undefined)[];

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
  /**
   * Adds a request; its tokens come through the stream.
   * @throws RejectedError (ERR_CLOSED, or as `Scheduler.add` says); the signal's reason if it is aborted already
   */
  generate(request: R, options?: GenerateOptions<R>): TokenStream;
  /** Resolves when nothing is left to do. Streams whose readers stopped reading keep it waiting. */
  drain(): Promise<void>;
  /**
   * Takes no more requests and drains; with `abort` it ends the present ones, whose streams throw `reason`.
   * @throws BatcherError ERR_ARGUMENT
   */
  close(options?: CloseOptions): Promise<void>;
  /**
   * Plans again where nothing could be planned: something that the batcher cannot see has changed, for example a request
   * that the capacity called 'pending' is ready. Does nothing while steps run. Nobody polls, so a capacity that answers
   * 'pending' must see to it that this is called.
   */
  wake(): void;
  readonly load: SchedulerLoad;
}
