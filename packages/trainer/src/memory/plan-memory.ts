import { ArgumentError, checkOptions, isHeddleError } from '@heddle/tensor';
import type { BatchFor, TracedBatch } from '../model/batch.ts';
import { trainedParameters } from '../model/parameters.ts';
import { checkStepOptions, type TrainStepOptions } from '../step/options.ts';
import { createTrainStep } from '../step/train-step.ts';

/** What a step will take of a device, before it runs. */
export interface PlannedMemory {
  /** Held by the device with the state of the optimizer: weights, moments, masters. */
  readonly heldBytes: number;
  /** Activations and gradients at their most. */
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** Activations and gradients that are not held at that time because blocks are computed again. */
  readonly savedByCheckpointing: number;
}

/**
 * What steps of such a batch will take. Allocates the state of the optimizer for the time of the call, and nothing else.
 * @throws DeviceError where the device does not say what a plan takes (ONNX Runtime, reference); OutOfMemoryError
 */
export async function planMemory<M extends TracedBatch<M>, Output, L extends TracedBatch<L> = M>(
  options: TrainStepOptions<M, Output, L>,
  batch: BatchFor<M & L>,
): Promise<PlannedMemory> {
  checkStepOptions('planMemory', options as never);
  const { device } = trainedParameters(options.model.parameters)[0]!.value;
  const planned = async (setting: TrainStepOptions<M, Output, L>) => {
    const step = createTrainStep(setting);
    try {
      return { held: device.memory().live, activations: await step.plan(batch) };
    } finally {
      step.dispose();
    }
  };
  const { held, activations } = await planned(options);
  const { checkpointing = 'none', offload, ...others } = options;
  const isPlain = checkpointing === 'none' && !offload?.activations;
  const kept = offload?.device && { offload: { device: offload.device } };
  const plain = isPlain ? activations : (await planned({ ...others, ...kept, checkpointing: 'none' })).activations;
  return {
    heldBytes: held,
    activationBytes: activations,
    totalBytes: held + activations,
    savedByCheckpointing: plain - activations,
  };
}

/** Options of `largestBatch`. */
export interface LargestBatchOptions<B> {
  /** The most bytes that the device may hold. */
  readonly maxBytes: number;
  /** A batch of so many rows; its values do not matter. */
  readonly batch: (rows: number) => B;
  /** The most rows that are tried; 4,096 where not named. */
  readonly most?: number;
}

export interface LargestBatch extends PlannedMemory {
  readonly rows: number;
}

/**
 * The largest batch whose steps stay within a budget, found from plans before any step runs.
 * @throws ArgumentError where one row does not fit; DeviceError where the device does not say what a plan takes
 */
export async function largestBatch<M extends TracedBatch<M>, Output, L extends TracedBatch<L> = M>(
  options: TrainStepOptions<M, Output, L>,
  sizes: LargestBatchOptions<BatchFor<M & L>>,
): Promise<LargestBatch> {
  checkStepOptions('largestBatch', options as never);
  checkOptions('largestBatch', sizes, { maxBytes: 'number', batch: 'function', most: 'number?' });
  const { maxBytes, batch, most = 4096 } = sizes;
  if (!(maxBytes > 0)) throw new ArgumentError(`largestBatch: maxBytes must be positive, got ${maxBytes}`);
  if (!Number.isSafeInteger(most) || most < 1)
    throw new ArgumentError(`largestBatch: most must be a whole number from 1, got ${most}`);
  let best: LargestBatch | undefined;
  let least: number | undefined;
  /** Whether so many rows fit. */
  const fits = async (rows: number): Promise<boolean> => {
    try {
      const memory = await planMemory(options, batch(rows));
      least = Math.min(least ?? Number.POSITIVE_INFINITY, memory.totalBytes);
      if (memory.totalBytes > maxBytes) return false;
      best = { rows, ...memory };
      return true;
    } catch (error) {
      if (isHeddleError(error, 'ERR_OUT_OF_MEMORY')) return false;
      throw error;
    }
  };
  let low = 0;
  let high = 1;
  while (high <= most && (await fits(high))) {
    low = high;
    high *= 2;
  }
  high = Math.min(high, most + 1);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await fits(middle)) low = middle;
    else high = middle;
  }
  if (!best)
    throw new ArgumentError(
      `largestBatch: one row takes ${least ?? 'more than the device has'} bytes, the budget is ${maxBytes}`,
    );
  return best;
}
