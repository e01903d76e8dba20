import { checkArguments, type DType, type Shape, type Tensor } from '@heddle/tensor';

/** A parameter as an optimizer sees it: while training, `value` is the model's variable, or its f32 master copy. */
export interface Parameter {
  readonly name: string;
  readonly value: Tensor;
}

/** Makes a value of an optimizer's state: zeros, f32 unless named otherwise. It belongs to whoever called `init`. */
export type AllocateState = (name: string, shape: Shape, dtype?: DType) => Tensor;

/** What changes from step to step without a new plan. */
export interface UpdateContext {
  /** The numbers of `scalars(step)`, as f32 scalars. */
  readonly scalars: readonly Tensor[];
  /** The global norm of these gradients, an f32 scalar, where it is known: those that the step found. */
  readonly norm?: { readonly gradients: readonly Tensor[]; readonly value: Tensor };
  /** Whether each parameter is to change as soon as its own gradient is there, so that none may wait for all gradients. */
  readonly inBackward?: boolean;
}

interface Stateful<S> {
  /** The state before the first step: nested arrays and plain objects of what `allocate` gives. */
  init(parameters: readonly Parameter[], allocate: AllocateState): S;
  /**
   * Numbers that depend on the step: learning rates, bias corrections. `step` counts the steps that were applied before this
   * one. Computed on the host in float64 and fed to the plan, so a schedule never recompiles it. As many for every step.
   */
  scalars(step: number): readonly number[];
}

/** Rewrites gradients before an optimizer takes them: clipping, for example. Put in front of one with `chain`. */
export interface GradientTransform<S = unknown> extends Stateful<S> {
  /** Records the new gradients, in the order of the old, and the next state, a tree like the one that it was given. */
  update(
    gradients: readonly Tensor[],
    state: S,
    parameters: readonly Parameter[],
    context: UpdateContext,
  ): { readonly gradients: readonly Tensor[]; readonly state: S };
}

/**
 * How parameters follow from gradients. Two pure functions over tensors: they record and keep nothing, so one optimizer may
 * serve any number of runs.
 */
export interface Optimizer<S = unknown> extends Stateful<S> {
  /** The learning rate of a step, counted as `scalars` counts, for reports. */
  learningRate(step: number): number;
  /**
   * Records the new value of each parameter, in their order, shape and dtype, and the next state, a tree like the one that
   * it was given.
   */
  update(
    gradients: readonly Tensor[],
    state: S,
    parameters: readonly Parameter[],
    context: UpdateContext,
  ): { readonly parameters: readonly Tensor[]; readonly state: S };
}

/** @throws ArgumentError naming `operation` for what is no optimizer */
export function checkOptimizer(operation: string, optimizer: Optimizer): void {
  checkArguments(operation, 'object', { optimizer });
  const { init, update, scalars, learningRate } = optimizer;
  checkArguments(operation, 'function', {
    'optimizer.init': init,
    'optimizer.update': update,
    'optimizer.scalars': scalars,
    'optimizer.learningRate': learningRate,
  });
}
