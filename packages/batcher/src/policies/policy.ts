import type { SequenceRequest } from '../scheduling/scheduler.ts';

/** What policies and admission rules may read of a sequence. */
export interface SequenceView<R extends SequenceRequest = SequenceRequest> {
  readonly request: R;
  /** Running number of its `add`: unique, so it breaks every tie. */
  readonly order: number;
  /** Clock time of its `add`, ms. */
  readonly arrival: number;
  /** Clock time at which it is ended, ms; `Infinity` without a deadline. */
  readonly deadline: number;
  /** Tokens of its stream that are known or on their way. */
  readonly length: number;
  /** Leading tokens of its stream that are in the cache or on their way. */
  readonly computed: number;
  /** Tokens generated and committed. */
  readonly newTokens: number;
  readonly preemptions: number;
}

/** The requests that wait for admission, in the order that a policy keeps. */
export interface WaitingQueue<S> {
  readonly size: number;
  /** Adds one behind those that go before it. */
  push(sequence: S): void;
  /** The next to admit; it stays in the queue. Nothing is admitted past it while it finds no room. */
  peek(): S | undefined;
  /** Whether it was there. */
  remove(sequence: S): boolean;
  /** Told of every prompt that is admitted the first time and of generated tokens, for policies that keep accounts. */
  charge?(sequence: S, promptTokens: number, newTokens: number): void;
}

/** What a policy may ask beside the sequences. */
export interface PolicyContext<R extends SequenceRequest = SequenceRequest> {
  /** Leading tokens of the request that the cache has now. */
  cachedTokens(request: R): number;
}

/** Who goes first. A value: pass one of ours or your own. */
export interface Policy<R extends SequenceRequest = SequenceRequest> {
  readonly name: string;
  /**
   * Negative when `a` goes before `b`: a total order that does not change while the two wait. The last one in it is
   * preempted first; the first one never is, so it always gets to its end.
   */
  compare(a: SequenceView<R>, b: SequenceView<R>): number;
  /** Whether a waiting sequence may take the place of a running one that comes after it. Default false. */
  readonly preemptive?: boolean;
  /** The waiting queue. Default: a heap in the order of `compare`. */
  createQueue?<S extends SequenceView<R>>(context: PolicyContext<R>): WaitingQueue<S>;
}
