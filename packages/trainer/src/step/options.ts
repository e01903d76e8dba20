import {
  ArgumentError,
  checkArguments,
  checkOptions,
  type Device,
  type OptionKinds,
  type Tensor,
} from '@heddle/tensor';
import type { Checkpointing } from '../model/checkpointing.ts';
import type { SummedLoss, TrainableModel } from '../model/model.ts';
import { checkOptimizer, type Optimizer } from '../optimizers/optimizer.ts';
import type { Precision } from '../precision/precision.ts';

/** What is trained, and for what. `M` is what the model reads of a batch, `L` what the loss reads beside it. */
export interface TrainStepOptions<M, Output, L = M> extends TrainStepSettings {
  readonly model: TrainableModel<M, Output>;
  /**
   * Records what is to become small: a float scalar, or a sum with the number of what it was summed over (tokens that are not
   * masked), so that steps of several batches are exact means.
   */
  readonly loss: (output: Output, batch: NoInfer<M> & L) => Tensor | SummedLoss;
}

/** How a step changes the weights, and what it keeps for that. */
export interface TrainStepSettings {
  readonly optimizer: Optimizer;
  /** The model's own where not named; 'f32' of one that has none. */
  readonly precision?: Precision;
  /** What is computed again in the backward pass, of models that run their blocks through the context; 'none' where not named. */
  readonly checkpointing?: Checkpointing;
  /** What is kept in host memory, at the cost of copies in each step. */
  readonly offload?: {
    /**
     * Keeps master weights and the optimizer's state on this device, which makes the updates: in host memory with a device that
     * computes on the CPU (`openOnnx()`), for models whose state does not fit beside them. Gradients are copied there in each
     * step, and weights back. It belongs to the caller.
     */
    readonly device?: Device;
    /**
     * Keeps what goes from one segment of blocks into the next in host memory between forward and backward pass; at most two of
     * these are on the device. Segments are those of `checkpointing`, 'every' block where that is not named, and are computed
     * again in the backward pass, the first one with what comes before it. For models that run their blocks through the context
     * in one call, each of which gives the shape and dtype that it takes.
     */
    readonly activations?: boolean;
  };
  /**
   * Changes each parameter as soon as its gradient is there, which is then freed: at no time are all gradients held. What needs
   * all of them does not go with it (`clipByGlobalNorm`, a dynamic loss scale, `offload`). A NaN or infinite loss still changes
   * nothing; a gradient that is not finite leaves its own parameter, and the step counts as not applied.
   */
  readonly updateInBackward?: boolean;
  /** Keeps exponential moving averages of the parameters, of which each step keeps `decay`. */
  readonly average?: { readonly decay: number };
}

const stepKinds: Readonly<Record<keyof TrainStepOptions<never, never>, OptionKinds[string]>> = {
  model: 'object',
  loss: 'function',
  optimizer: 'object',
  precision: 'anything',
  checkpointing: 'anything',
  offload: 'object?',
  updateInBackward: 'boolean?',
  average: 'object?',
};

/** What `train` takes beside a step's options: those of a run may be passed on. */
const ofRuns: OptionKinds = Object.fromEntries(
  [
    'data',
    'accumulate',
    'steps',
    'signal',
    'nonFinite',
    'stepsAhead',
    'tokens',
    'evaluate',
    'earlyStopping',
    'save',
    'flops',
  ].map((name) => [name, 'anything']),
);

/** @throws ArgumentError naming `operation`, for what a step is not made of */
export function checkStepOptions(
  operation: string,
  options: TrainStepOptions<never, never>,
  more: OptionKinds = ofRuns,
): void {
  checkOptions(operation, options, { ...stepKinds, ...more });
  const { model, optimizer, average, offload } = options;
  checkArguments(operation, 'function', { 'model.forward': model.forward });
  checkOptimizer(operation, optimizer);
  if (average) checkOptions(`${operation}: average`, average, { decay: 'number' });
  if (offload) checkOptions(`${operation}: offload`, offload, { device: 'device?', activations: 'boolean?' });
}

/** What a step takes of options that have more. */
export function stepOptionsOf<O extends object>(options: O): O {
  const entries = Object.keys(stepKinds).map((name) => [name, options[name as keyof O]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as O;
}

/** @throws ArgumentError */
export function checkAverage(average: { readonly decay: number } | undefined): number | undefined {
  if (average === undefined) return undefined;
  const { decay } = average;
  if (!(decay >= 0 && decay < 1))
    throw new ArgumentError(`train: average: decay must be in [0, 1), got ${String(decay)}`);
  return decay;
}

/** @throws ArgumentError for what needs all gradients at once */
export function checkUpdateInBackward({ updateInBackward = false, offload, precision }: TrainStepSettings): boolean {
  if (typeof updateInBackward !== 'boolean')
    throw new ArgumentError(`train: updateInBackward must be true or false, got ${String(updateInBackward)}`);
  if (!updateInBackward) return false;
  if (offload) throw new ArgumentError('train: updateInBackward does not go with offload');
  const scales =
    typeof precision === 'object' && precision !== null ? typeof precision.lossScale !== 'number' : precision === 'f16';
  if (scales)
    throw new ArgumentError(
      'train: updateInBackward does not go with a dynamic loss scale, which skips whole steps: name a number, { compute: "f16", lossScale: 1024 }',
    );
  return true;
}

/** @throws ArgumentError */
export function checkOffload({ offload, average }: TrainStepSettings, own: Device): Device | undefined {
  if (offload === undefined) return undefined;
  const { device, activations } = offload;
  if (device === undefined && activations) return undefined;
  if (device === undefined) throw new ArgumentError('train: offload takes { device }, { activations: true } or both');
  if (device === own)
    throw new ArgumentError("train: offload takes another device than the model's, with memory of its own");
  if (average)
    throw new ArgumentError('train: moving averages are not kept with offload.device; leave out one of them');
  return device;
}

/** Blocks of a segment, where activations go to the host. @throws ArgumentError for checkpointing without segments */
export function checkActivations({ offload, checkpointing = 'none' }: TrainStepSettings): number | undefined {
  if (!offload?.activations) return undefined;
  if (checkpointing === 'none' || checkpointing === 'every') return 1;
  if ('segment' in checkpointing) return checkpointing.segment;
  throw new ArgumentError(
    `train: offload.activations goes with checkpointing 'every' and { segment }, got ${JSON.stringify(checkpointing)}`,
  );
}
