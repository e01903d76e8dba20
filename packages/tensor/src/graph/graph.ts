import type { DimSymbol } from '../dim.ts';
import type { Node } from './op.ts';
import type { Tensor } from './tensor.ts';
import type { Update, Variable } from './variable.ts';

/** What an executor compiles: every node has a lowering of that executor's, nothing is dead, equal nodes are one. */
export interface Graph {
  /** What each run provides, in order. */
  readonly inputs: readonly Tensor[];
  /** Leaves whose values are fixed for the life of the program: read with `tensor.storage`. */
  readonly constants: readonly Tensor[];
  /** Variables that are read or updated: read with `variable.storage`. */
  readonly variables: readonly Variable[];
  /** Applications of operations, each after its inputs. */
  readonly nodes: readonly Node[];
  readonly outputs: readonly Tensor[];
  /** Applied after every read of the run. */
  readonly updates: readonly Update[];
  /** Symbolic dimensions that any shape depends on. */
  readonly symbols: readonly DimSymbol[];
}
