import type { Capacity } from '../scheduling/capacity.ts';
import type { SequenceRequest } from '../scheduling/scheduler.ts';

/**
 * The baseline that continuous batching is measured against: a batch starts when the last one has ended altogether. As a
 * capacity, because that is all the difference: with `maxSequences` = batch size, who is not there when the batch starts
 * finds everything full. Reserves nothing.
 */
export function staticBatches<R extends SequenceRequest = SequenceRequest>(): Capacity<R> {
  let open = 0;
  let started = false;
  return {
    maxSequenceTokens: Number.MAX_SAFE_INTEGER,
    admit() {
      if (started) return 'full';
      open++;
      return 0;
    },
    // Asked for in every step but the one that admits.
    reserve() {
      started = true;
      return true;
    },
    release() {
      open--;
      if (open === 0) started = false;
    },
  };
}
