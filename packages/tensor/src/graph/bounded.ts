import type { Dim } from '../dim.ts';
import { defineOp, type Op } from './op.ts';
import { recordOne } from './record.ts';
import type { Tensor } from './tensor.ts';

/** What indices must be, and for whom. */
export interface IndexRange {
  readonly operation: string;
  /** They are from 0 up to, but not including, this. */
  readonly size: Dim;
  /** What outside is meant: one value, or all below 0. */
  readonly ignored?: number | 'negative';
}

/** Marks indices: nothing but the value itself, except to a device that checks. */
export const boundedOp: Op<IndexRange> = defineOp<IndexRange>({
  name: 'bounded',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: () => [undefined],
  decompose: ([x]) => [x!],
});

/** The same indices (i32), which a device that was opened with `debug` checks in each run. */
export function bounded(operation: string, indices: Tensor, size: Dim, ignored?: number): Tensor {
  return recordOne(boundedOp, [indices], { operation, size, ...(ignored === undefined ? {} : { ignored }) });
}
