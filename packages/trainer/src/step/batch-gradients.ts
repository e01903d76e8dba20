import { type Device, gradients, type Tensor, type Variable } from '@heddle/tensor';
import { type BlockCount, type CheckpointingPlan, forwardContext } from '../model/checkpointing.ts';
import { meanLoss, outputOf } from '../model/model.ts';
import type { StepParts, Traced } from './record-step.ts';

/** What a batch gives before anything is made of it. */
export interface BatchGradients {
  readonly mean: Tensor;
  readonly count: Tensor;
  /** Of the mean times the loss scale, in the order and the dtypes of the parameters. */
  readonly gradients: readonly Tensor[];
  readonly lossScale: Tensor | undefined;
}

/** Gradients and a loss that lie in variables, from one plan to the next. */
export interface HeldGradients {
  /** In the order of the parameters. */
  readonly gradients: readonly Variable[];
  /** f32 `[2]`: the loss, and what it counts. */
  readonly loss: Variable;
}

/** Records forward and backward pass of a batch. */
export function recordBatch(
  parts: StepParts,
  policy: CheckpointingPlan,
  found: BlockCount,
  batch: Traced,
): BatchGradients {
  const { model, loss, precision, parameters, state } = parts;
  const { mean, count } = meanLoss(loss(outputOf(model, batch, forwardContext(policy, found)), batch));
  const values = parameters.map(({ value }) => value);
  const lossScale = precision.lossScale?.scale(state.lossScale, mean);
  if (!lossScale) return { mean, count, gradients: gradients(mean, values), lossScale };
  return { mean, count, gradients: gradients(mean.mul(lossScale), values), lossScale };
}

/** What other plans have made of a batch: the mean of its loss, what that counts, and gradients. */
export function heldBatch({ precision, state }: StepParts, held: HeldGradients): BatchGradients {
  const [mean, count] = lossOf(held);
  const lossScale = precision.lossScale?.scale(state.lossScale, mean);
  return { mean, count, gradients: held.gradients, lossScale };
}

/** The two values of a held loss, as scalars. */
export function lossOf({ loss }: HeldGradients): readonly [Tensor, Tensor] {
  return [loss.slice(0, 0, 1).reshape([]), loss.slice(0, 1, 2).reshape([])];
}

/** @throws OutOfMemoryError, and nothing is left on the device */
export function holdGradients(
  device: Device,
  { parameters }: Pick<StepParts, 'parameters'>,
  dtype: 'f32' | 'own',
): HeldGradients {
  const made: Variable[] = [];
  const zeros = (name: string, shape: readonly number[], own: 'f32' | 'f16') => {
    const variable = device.zeroVariable(shape, { name, dtype: own, owner: 'gradients' });
    made.push(variable);
    return variable;
  };
  try {
    return {
      gradients: parameters.map(({ name, value }) =>
        zeros(
          `gradient.${name}`,
          value.shape as readonly number[],
          dtype === 'own' ? (value.dtype as 'f32' | 'f16') : dtype,
        ),
      ),
      loss: zeros('gradient.loss', [2], 'f32'),
    };
  } catch (cause) {
    for (const variable of made) variable.dispose();
    throw cause;
  }
}

export function disposeGradients(held: HeldGradients | undefined): void {
  for (const variable of held ? [...held.gradients, held.loss] : []) variable.dispose();
}
