import type { HostArray } from '../dtype.ts';
import { Tensor } from '../graph/tensor.ts';

/** One call of a compiled function. */
export interface TracedCall {
  /** Whether the caller has its result: what was called before that did not wait for it. */
  isDelivered: boolean;
}

/** Whether an argument is still to be computed, or was only remembered. */
export const isLazy = (input: HostArray | Tensor): input is Tensor =>
  input instanceof Tensor && (!input.storage || input.isRemembered);
