import type { HostArray } from '../dtype.ts';
import { Tensor } from '../graph/tensor.ts';

/** One call of a compiled function, on a clock that counts its calls and results. */
export interface TracedCall {
  readonly made: number;
  /** When the caller got its result; Infinity until then. What was called before that did not wait for it. */
  delivered: number;
}

/** Whether an argument is still to be computed, or was only remembered. */
export const isLazy = (input: HostArray | Tensor): input is Tensor =>
  input instanceof Tensor && (!input.storage || input.isRemembered);
