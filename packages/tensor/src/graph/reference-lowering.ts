import type { Dim } from '../dim.ts';
import type { DType } from '../dtype.ts';
import type { ConcreteType } from '../shape.ts';
import type { Node } from './op.ts';

/** Values inside the reference executor: row-major, float64 whatever the dtype (bool as 0 and 1). */
export interface ReferenceArray {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: Float64Array;
}

export interface ReferenceContext<A> {
  readonly inputs: readonly ReferenceArray[];
  /** Types of the outputs, with the sizes of this run. */
  readonly outputs: readonly ConcreteType[];
  readonly attributes: A;
  dim(dim: Dim): number;
}

/**
 * How the reference executor computes an operation: value by value with broadcasting (`dtype` is the result's), or whole arrays.
 * An application that is not supported is decomposed.
 */
export type ReferenceLowering<A> =
  | { elementwise(attributes: A, dtype: DType): (...values: number[]) => number }
  | {
      supports?(node: Node<A>): boolean;
      run(context: ReferenceContext<A>): readonly Float64Array[];
    };
