import { checkOptions, type Tensor } from '@heddle/tensor';

/**
 * What a recurrent layer reads of a cache of states for the B sequences of a step, and which of its states the cache keeps. Declared
 * here because recurrences consume it; caches give it. Slots of other sequences may hold anything.
 */
export interface StateView {
  /** `[slots, H, Dk, Dv]`, f32 or f16. */
  readonly pool: Tensor;
  /** i32 `[B]`: the slot that each sequence goes on from; a negative one for a sequence that begins, from zeros. */
  readonly from: Tensor;
  /** i32 `[W]`: the rows of the step after which states are kept, from 0 to T - 1; any of them, in any order. */
  readonly at: Tensor;
}

/** @throws ArgumentError naming `operation` for what is no view */
export function checkStateView(operation: string, states: unknown): void {
  if (states !== undefined)
    checkOptions(`${operation}: states`, states, { pool: 'tensor', from: 'tensor', at: 'tensor' });
}
