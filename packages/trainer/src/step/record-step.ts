import { bitAnd, concat, gradients, type Tensor, take, type Update, type Variable, where } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { type BlockCount, type CheckpointingPlan, forwardContext } from '../model/checkpointing.ts';
import { meanLoss, type SummedLoss, type TrainableModel } from '../model/model.ts';
import type { TrainedParameter } from '../model/parameters.ts';
import { globalNorm } from '../optimizers/clip.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import type { PrecisionPlan } from '../precision/precision.ts';
import { pairState, type TrainState } from './state.ts';

/** A batch whose names are not known to the types. */
export type Traced = Readonly<Record<string, Tensor>>;

/** What steps are recorded from. */
export interface StepParts {
  readonly model: TrainableModel<Traced, unknown>;
  readonly loss: (output: unknown, batch: Traced) => Tensor | SummedLoss;
  readonly optimizer: Optimizer;
  readonly precision: PrecisionPlan;
  readonly averageDecay: number | undefined;
  readonly parameters: readonly TrainedParameter[];
  readonly state: TrainState;
}

/** Sums over the batches of a step before its last. */
export interface Accumulators {
  /** f32, in the order of the parameters. */
  readonly gradients: readonly Variable[];
  /** f32 `[2]`: of the losses, and of what they count. */
  readonly loss: Variable;
}

/** How many steps ahead the host says what their numbers are; a power of two. */
export const scalarRows = 8;

/** What a step reports, in the order of `metrics`. */
export const metricNames = ['loss', 'gradientNorm', 'applied', 'appliedBefore', 'count', 'lossScale'] as const;

interface BatchGradients {
  readonly mean: Tensor;
  readonly count: Tensor;
  /** Of the mean, in the order of the parameters: in their dtype, or f32 where the loss was scaled. */
  readonly gradients: readonly Tensor[];
  readonly lossScale: Tensor | undefined;
}

function recordBatch(parts: StepParts, policy: CheckpointingPlan, found: BlockCount, batch: Traced): BatchGradients {
  const { model, loss, precision, parameters, state } = parts;
  const { mean, count } = meanLoss(loss(model.forward(batch, forwardContext(policy, found)), batch));
  const values = parameters.map(({ value }) => value);
  const lossScale = precision.lossScale?.scale(state.lossScale, mean);
  if (!lossScale) return { mean, count, gradients: gradients(mean, values), lossScale };
  const scaled = gradients(mean.mul(lossScale), values);
  return { mean, count, gradients: scaled.map((gradient) => gradient.cast('f32').div(lossScale)), lossScale };
}

/** Records a batch of a step that has more: its gradients are added up. `fresh` is f32 `[1]`: not 0 for the first of a step. */
export function recordPart(
  parts: StepParts,
  policy: CheckpointingPlan,
  found: BlockCount,
  accumulators: Accumulators,
  batch: Traced,
  fresh: Tensor,
): Update[] {
  const { mean, count, gradients } = recordBatch(parts, policy, found, batch);
  const isFresh = fresh.reshape([]).greater(0);
  const add = (sum: Variable, value: Tensor) => sum.assign(where(isFresh, value, sum.add(value)));
  return [
    ...accumulators.gradients.map((sum, i) => add(sum, gradients[i]!.cast('f32').mul(count))),
    add(accumulators.loss, pairOf(mean.mul(count), count)),
  ];
}

/**
 * Records a step, or the end of one that has several batches: what it reports, and the updates that it makes.
 * @param scalars f32 `[scalarRows, N]`: the optimizer's numbers for step s in row s modulo `scalarRows`
 */
export function recordStep(
  parts: StepParts,
  policy: CheckpointingPlan,
  found: BlockCount,
  accumulators: Accumulators | undefined,
  batch: Traced,
  scalars: Tensor,
): { metrics: Tensor; updates: Update[] } {
  const { optimizer, parameters, state } = parts;
  const own = recordBatch(parts, policy, found, batch);
  const { mean, count, gradients } = accumulators ? together(own, accumulators) : own;
  const norm = globalNorm(gradients);
  const row = take(scalars, bitAnd(state.applied, scalarRows - 1));
  const numbers = optimizer.scalars(0).map((_, i) => row.slice(1, i, i + 1).reshape([]));
  const next = optimizer.update(gradients, state.optimizer, state.masters, { scalars: numbers });
  if (next.parameters.length !== parameters.length)
    throw new TrainingError(
      'ERR_OPTIMIZER',
      `train: the optimizer must give ${parameters.length} parameters, got ${next.parameters.length}`,
    );
  const applied = whetherFinite(mean).and(whetherFinite(norm)).and(count.greater(0));
  const assign = (variable: Variable, value: Tensor) => variable.assign(where(applied, value, variable));
  const metrics = [mean, norm, applied, state.applied, count, own.lossScale ?? mean.device.ones([])];
  const scaleUpdates = parts.precision.lossScale
    ? pairState(state.lossScale, parts.precision.lossScale.update(state.lossScale, applied))
    : [];
  return {
    metrics: concat(
      metrics.map((value) => value.cast('f32').reshape([1])),
      0,
    ),
    updates: [
      ...parameters.flatMap(({ value }, i) => parameterUpdates(parts, value, i, next.parameters[i]!, assign)),
      ...pairState(state.optimizer, next.state).map(([variable, value]) => assign(variable, value)),
      ...scaleUpdates.map(([variable, value]) => variable.assign(value)),
      assign(state.applied, state.applied.add(1)),
    ],
  };
}

function parameterUpdates(
  { state, averageDecay }: StepParts,
  variable: Variable,
  index: number,
  next: Tensor,
  assign: (variable: Variable, value: Tensor) => Update,
): Update[] {
  const master = state.masters[index]!.value;
  const average = state.averages[index];
  return [
    assign(variable, next.cast(variable.dtype)),
    ...(master === variable ? [] : [assign(master, next)]),
    ...(average
      ? [
          assign(
            average,
            average.add(
              next
                .cast('f32')
                .sub(average)
                .mul(1 - averageDecay!),
            ),
          ),
        ]
      : []),
  ];
}

/** The mean over the batches before and this one. */
function together(
  { mean, count, gradients }: BatchGradients,
  accumulators: Accumulators,
): Omit<BatchGradients, 'lossScale'> {
  const [lossBefore, countBefore] = [0, 1].map((i) => accumulators.loss.slice(0, i, i + 1).reshape([])) as [
    Tensor,
    Tensor,
  ];
  const total = countBefore.add(count);
  const divisor = total.maximum(total.greater(0).not().cast('f32'));
  return {
    mean: lossBefore.add(mean.mul(count)).div(divisor),
    count: total,
    gradients: gradients.map((gradient, i) =>
      accumulators.gradients[i]!.add(gradient.cast('f32').mul(count)).div(divisor),
    ),
  };
}

function pairOf(a: Tensor, b: Tensor): Tensor {
  return concat([a.reshape([1]), b.reshape([1])], 0);
}

/** Neither NaN nor infinite: of those no comparison with the largest finite number holds. */
function whetherFinite(scalar: Tensor): Tensor {
  return scalar.cast('f32').abs().lessEqual(3.4028234663852886e38);
}
