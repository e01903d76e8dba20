import type { Device, Tensor } from '@heddle/tensor';
import type { ForwardAdapters } from '../models/causal-lm.ts';

/** An adapter that a request goes on with until it has ended. */
export interface HeldAdapter {
  /** Its place among those on the device, from 1: 0 adds nothing. */
  readonly place: number;
  /** Tells what is computed with it from all else: cached tokens are shared among requests of one key only. */
  readonly key: string;
  /** Lets it go. Idempotent. */
  release(): void;
}

/** Adapters of which each request names one, as an engine asks for them. */
export interface RequestAdapters {
  readonly device: Device;
  /** @throws ArgumentError naming those that there are, where there is none of that name */
  hold(name: string): HeldAdapter;
  /**
   * What a step adds to linear layers, by the adapter of each row. Recorded in the step's plan.
   * @param places i32 `[T]`: of each row, 0 for none
   * @param rows i32 `[R]`: the rows whose logits are wanted, which the head takes
   */
  ofRows(places: Tensor, rows: Tensor): ForwardAdapters;
}
