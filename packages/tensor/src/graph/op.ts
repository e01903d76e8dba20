import { ArgumentError } from '../checks/errors.ts';
import type { StorageDType } from '../dtype.ts';
import type { Shape, TensorType } from '../shape.ts';
import type { OnnxLowering } from './onnx-lowering.ts';
import type { ReferenceLowering } from './reference-lowering.ts';
import type { Tensor } from './tensor.ts';
import type { WebGpuLowering } from './webgpu-lowering.ts';

/** What a gradient rule sees of one application of an operation. */
export interface GradientContext<A> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of the scalar by each output; undefined where nothing depends on that output. */
  readonly outputGradients: readonly (Tensor | undefined)[];
  /** Whether the gradient with respect to an input is asked for; rules may skip the others. */
  readonly needs: readonly boolean[];
  readonly attributes: A;
}

/**
 * An operation, defined once for every executor.
 *
 * An executor runs it by its own entry in `lower`, otherwise through `decompose`. Attributes are plain data (numbers,
 * strings, booleans, sizes, arrays and objects of them): equal attributes mean equal operations.
 */
export interface OpDefinition<A> {
  readonly name: string;
  /**
   * For operations that are made of functions, anew for each application: those of one name and key compute the same where their
   * attributes are equal, and share programs. Without it an operation is equal to itself alone.
   */
  readonly key?: string;
  /**
   * Whether an input may be of a storage-only dtype (bf16, block formats), or an output of bf16. Without it none may,
   * and recording such an application is refused.
   */
  takes?(dtype: StorageDType, input: number): boolean;
  /** The shape and dtype rule, one type per output. @throws ShapeError, DTypeError, naming the operation */
  shape(inputs: readonly TensorType[], attributes: A): readonly TensorType[];
  /**
   * Gradients with respect to the inputs, recorded as tensor operations so that they can be differentiated again; undefined where the
   * output does not depend on an input smoothly. Without a rule the gradient goes through `decompose`.
   */
  gradient?(context: GradientContext<A>): readonly (Tensor | undefined)[];
  /** The same values from simpler operations. */
  decompose?(inputs: readonly Tensor[], attributes: A): readonly Tensor[];
  /**
   * An operation that this one computes on the way: its outputs are this one's first, of the same inputs. Where a graph has
   * both, this one alone is computed. (A loss, in an operation that gives it with its gradients.)
   */
  readonly contains?: { readonly op: Op; attributes(own: A): unknown };
  readonly lower?: {
    readonly reference?: ReferenceLowering<A>;
    readonly onnx?: OnnxLowering<A>;
    readonly webgpu?: WebGpuLowering<A>;
  };
}

/** A defined operation. Its identity is the value itself. */
export interface Op<A = unknown> extends OpDefinition<A> {}

/**
 * Defines an operation. Nothing is registered: whoever holds the value can record it with `record`.
 * @throws ArgumentError for a definition without name or shape
 */
export function defineOp<A>(definition: OpDefinition<A>): Op<A> {
  if (typeof definition?.shape !== 'function' || typeof definition.name !== 'string')
    throw new ArgumentError('defineOp: takes a definition with name and shape');
  return Object.freeze(definition);
}

/** One application of an operation in the graph. */
export interface Node<A = unknown> {
  readonly op: Op<A>;
  readonly inputs: readonly Tensor[];
  readonly attributes: A;
  /** The canonical handle of each output. */
  readonly outputs: readonly Tensor[];
}

/** A leaf that a run provides: an argument of a compiled function. */
export const inputOp: Op<{ readonly name: string; readonly shape: Shape; readonly dtype: TensorType['dtype'] }> =
  defineOp({
    name: 'input',
    shape: (_, { shape, dtype }) => [{ shape, dtype }],
  });

/** A leaf whose values are in the device's storage. */
export const dataOp: Op<TensorType> = defineOp({
  name: 'data',
  shape: (_, type) => [type],
});

/** A leaf that is a `Variable`, read as it was before the run. */
export const variableOp: Op<TensorType & { readonly name: string }> = defineOp({
  name: 'variable',
  shape: (_, { shape, dtype }) => [{ shape, dtype }],
});

export function isLeafOp(op: Op): boolean {
  return op === inputOp || op === dataOp || op === variableOp;
}
