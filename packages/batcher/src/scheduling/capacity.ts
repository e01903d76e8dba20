import type { SequenceRequest } from './scheduler.ts';

/**
 * The memory of sequences as a scheduler sees it, implemented over a cache by whoever owns one. Token counts are absolute
 * lengths of a sequence's stream, so blocks, single tokens and fixed rows fit alike.
 *
 * A request that fits `maxSequenceTokens` must be admissible and growable to its end while it is the only one open.
 */
export interface Capacity<R extends SequenceRequest = SequenceRequest> {
  /** Most tokens that one sequence can ever hold. Larger requests are refused when they are added. */
  readonly maxSequenceTokens: number;
  /**
   * Opens a sequence with room for its first `tokens` tokens, all or nothing. `length` tokens of its stream are known by
   * now (after a preemption some are generated ones). `parent` is open and shares the first `promptTokens - 1`.
   *
   * Returns how many leading tokens are in the cache already (a prefix, the parent's, a tier), 0 if none; 'full' if there
   * is no room now; 'pending' if it is not ready (a tier is being read): others may go first, and it is asked again in
   * every step. Where nothing else runs there is no step until `ContinuousBatcher.wake`.
   */
  admit(request: R, tokens: number, length: number, parent: R | undefined): number | 'full' | 'pending';
  /** Makes room for the first `tokens` tokens of an open sequence, all or nothing. Asking for what it has gives true. */
  reserve(request: R, tokens: number): boolean;
  /** Closes a sequence. After 'preempted' it will be admitted again: what is kept of it then is not computed again. */
  release(request: R, why: 'finished' | 'preempted'): void;
  /** A request that was answered 'pending', and not opened since, will not be asked for again: it has ended. */
  withdraw?(request: R): void;
  /** Leading tokens that `admit` would find in the cache now; for policies that prefer them. Changes nothing. */
  cachedTokens?(request: R): number;
}
