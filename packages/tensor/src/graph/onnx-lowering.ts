import type { Dim } from '../dim.ts';
import type { BlockFormat, DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { Node } from './op.ts';

/**
 * Element types inside an ONNX graph: those of tensors, the int64 of shapes and indices, float64 on the way, and bytes.
 * Values of storage-only dtypes (bf16, block formats) are f32 there, unless they are part of the model.
 */
export type OnnxType = DType | 'i64' | 'f64' | 'u8';

/** Block-quantised values that are part of a model. */
export interface OnnxBlocks {
  readonly format: BlockFormat;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** An attribute of an ONNX node. A bare number is an integer; `{ float }` a float; an array is of integers. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

/** What an operator of ONNX has beside its inputs. */
export interface OnnxOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** 'com.microsoft' for the runtime's own operators. */
  readonly domain?: string;
}

/** A value with its element type. */
export interface OnnxTyped {
  readonly value: string;
  readonly type: OnnxType;
}

/** What one turn of a loop gives. */
export interface OnnxTurn {
  /** The carried values for the next turn, of the types and in the order of those that it took. */
  readonly carried: readonly string[];
  /** Values of which the loop joins those of all turns along a new axis in front. */
  readonly collected: readonly OnnxTyped[];
}

/** Adds nodes to the ONNX graph that is being built; values are named by strings. */
export interface OnnxBuilder {
  /** Adds a node with one output and gives its name. An empty input name leaves an optional input out. */
  op(type: string, inputs: readonly string[], options?: OnnxOptions): string;
  /** Adds a node with `count` outputs. */
  opWithOutputs(type: string, inputs: readonly string[], count: number, options?: OnnxOptions): readonly string[];
  /** An initialiser; equal ones are shared. f16 values are given as numbers and rounded. */
  constant(dtype: OnnxType, shape: readonly number[], values: readonly number[]): string;
  /** Values that become part of the model, by reference. */
  initializer(type: OnnxType, shape: readonly number[], data: ArrayBufferView): string;
  /** The blocks of an input of a block format; undefined where it is given to a run, as f32. */
  blocks(value: string): OnnxBlocks | undefined;
  /** The values of an input that is storage-only, as f32. */
  floats(value: string): string;
  /** An int64 vector of sizes, computed from the run's symbolic dimensions where they are symbolic. */
  sizes(dims: readonly Dim[]): string;
  /** The values in another dtype. */
  cast(value: string, to: OnnxType): string;
  /**
   * A loop of `count` (int64 scalar) turns. `body` adds the nodes of one turn; it may use values from outside of the loop, and
   * what it adds stays inside.
   * @returns what is carried after the last turn, then what was collected, by turns
   */
  loop(
    count: string,
    carried: readonly OnnxTyped[],
    body: (turn: string, carried: readonly string[]) => OnnxTurn,
  ): readonly string[];
  /** The same values, row-major, in another shape (one size may be -1 and follows); of a reshape of a reshape one is left. */
  reshape(value: string, shape: Shape): string;
}

/** How the ONNX executor computes an operation: by nodes of the runtime. */
export interface OnnxLowering<A> {
  /** Where this lowering does not fit an application, it is decomposed. */
  supports?(node: Node<A>): boolean;
  emit(builder: OnnxBuilder, inputs: readonly string[], node: Node<A>): string | readonly string[];
}
