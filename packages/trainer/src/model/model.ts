import { ArgumentError, DTypeError, formatShape, isFloat, ShapeError, Tensor } from '@heddle/tensor';
import type { ModelParameters } from './parameters.ts';

/** What a step tells a forward pass beside the batch. */
export interface ForwardContext {
  /**
   * Passes `x` through blocks, one after the other. Blocks that a model runs in this way are those that checkpointing computes
   * again in the backward pass, instead of keeping what they computed. Without checkpointing it only calls them.
   */
  blocks(x: Tensor, blocks: readonly Block[]): Tensor;
}

/** A layer of a model, from hidden states to hidden states: records, and keeps nothing. */
export type Block = (x: Tensor) => Tensor;

/** Anything with weights and a forward pass. */
export interface TrainableModel<I, Output> {
  readonly parameters: ModelParameters;
  /** How exactly it is trained where a step names no `precision`: 'f16' of a model that computes in f16, whose loss must be scaled. */
  readonly precision?: 'f32' | 'f16';
  /** Records the output for a batch. Traced once per shape of a batch. */
  forward(batch: I, context: ForwardContext): Output;
}

/**
 * A loss that is summed, and the number of what it was summed over (tokens that are not masked): a step of several batches, or
 * of rows of unequal length, is then the mean over all of them.
 */
export interface SummedLoss {
  /** Float scalar. */
  readonly total: Tensor;
  /** Float scalar, not negative. */
  readonly count: Tensor;
}

/** Mean and weight of a loss, as f32 scalars. */
export interface MeanLoss {
  readonly mean: Tensor;
  /** How much the mean weighs among other batches of the step; 1 of a loss that is no sum. */
  readonly count: Tensor;
}

/** @throws ShapeError, DTypeError, for what has no gradient */
export function meanLoss(loss: unknown): MeanLoss {
  if (typeof loss === 'object' && loss !== null && 'total' in loss && 'count' in loss) {
    const total = scalar('total of the loss', loss.total);
    const count = scalar('count of the loss', loss.count);
    return { mean: total.div(count.maximum(count.greater(0).not().cast('f32'))), count };
  }
  const mean = scalar('loss', loss);
  return { mean, count: mean.device.ones([]) };
}

function scalar(what: string, value: unknown): Tensor {
  if (!(value instanceof Tensor))
    throw new ShapeError(
      `train: the ${what} must be a scalar tensor, got ${typeof value === 'object' ? value?.constructor?.name : typeof value}`,
    );
  if (value.rank !== 0)
    throw new ShapeError(`train: the ${what} must be a scalar, got ${formatShape(value.shape)}; sum or average it`);
  if (!isFloat(value.dtype)) throw new DTypeError(`train: the ${what} must be f32 or f16, got ${value.dtype}`);
  return value.cast('f32');
}

/** What a model gives for a batch. @throws ArgumentError for a promise */
export function outputOf<I, Output>(model: TrainableModel<I, Output>, batch: I, context: ForwardContext): Output {
  const output = model.forward(batch, context);
  if (output instanceof Promise)
    throw new ArgumentError("train: the model's forward must give its output at once, got a promise: it only records");
  return output;
}
