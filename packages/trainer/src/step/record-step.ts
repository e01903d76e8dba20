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
  /** Whether updates are made on another device. */
  readonly offloaded: boolean;
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

/** What a step found of its batches before anything changes. */
interface Found extends Omit<BatchGradients, 'lossScale'> {
  readonly applied: Tensor;
  /** f32: loss, gradient norm, applied, applied before, count, loss scale. */
  readonly metrics: Tensor;
  /** Of the loss scale, and the count of the steps that were applied. */
  readonly updates: readonly Update[];
}

function recordFound(
  parts: StepParts,
  policy: CheckpointingPlan,
  found: BlockCount,
  accumulators: Accumulators | undefined,
  batch: Traced,
): Found {
  const { precision, state } = parts;
  const own = recordBatch(parts, policy, found, batch);
  const { mean, count, gradients } = accumulators ? together(own, accumulators) : own;
  const norm = globalNorm(gradients);
  const applied = whetherFinite(mean).and(whetherFinite(norm)).and(count.greater(0));
  const metrics = [mean, norm, applied, state.applied, count, own.lossScale ?? mean.device.ones([])];
  const scaleUpdates = precision.lossScale
    ? pairState(state.lossScale, precision.lossScale.update(state.lossScale, applied))
    : [];
  return {
    mean,
    count,
    gradients,
    applied,
    metrics: concat(
      metrics.map((value) => value.cast('f32').reshape([1])),
      0,
    ),
    updates: [
      ...scaleUpdates.map(([variable, value]) => variable.assign(value)),
      state.applied.assign(where(applied, state.applied.add(1), state.applied)),
    ],
  };
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
  const { parameters, state } = parts;
  const { gradients, applied, metrics, updates } = recordFound(parts, policy, found, accumulators, batch);
  const row = take(scalars, bitAnd(state.applied, scalarRows - 1));
  const next = recordUpdate(parts, gradients, row);
  const assign = (variable: Variable, value: Tensor) => variable.assign(where(applied, value, variable));
  return {
    metrics,
    updates: [
      ...parameters.flatMap(({ value }, i) => parameterUpdates(parts, value, i, next.parameters[i]!, assign)),
      ...pairState(state.optimizer, next.state).map(([variable, value]) => assign(variable, value)),
      ...updates,
    ],
  };
}

/** Records the part of a step before its update, which is made elsewhere: what it reports, and f32 gradients. */
export function recordGradients(
  parts: StepParts,
  policy: CheckpointingPlan,
  found: BlockCount,
  accumulators: Accumulators | undefined,
  batch: Traced,
): { metrics: Tensor; gradients: Tensor[]; updates: Update[] } {
  const { gradients, metrics, updates } = recordFound(parts, policy, found, accumulators, batch);
  return { metrics, gradients: gradients.map((gradient) => gradient.cast('f32')), updates: [...updates] };
}

/** Records the next parameters and state. `row` is f32 `[1, N]`: the optimizer's numbers. */
export function recordUpdate(
  { optimizer, state }: Pick<StepParts, 'optimizer' | 'state'>,
  gradients: readonly Tensor[],
  row: Tensor,
): { readonly parameters: readonly Tensor[]; readonly state: unknown } {
  const numbers = optimizer.scalars(0).map((_, i) => row.slice(1, i, i + 1).reshape([]));
  const next = optimizer.update(gradients, state.optimizer, state.masters, { scalars: numbers });
  if (next.parameters.length !== state.masters.length)
    throw new TrainingError(
      'ERR_OPTIMIZER',
      `train: the optimizer must give ${state.masters.length} parameters, got ${next.parameters.length}`,
    );
  return next;
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
