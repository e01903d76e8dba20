import { bitAnd, concat, type Tensor, take, type Update, type Variable, where } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import type { SummedLoss, TrainableModel } from '../model/model.ts';
import type { TrainedParameter } from '../model/parameters.ts';
import { globalNorm } from '../optimizers/clip.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import type { PrecisionPlan } from '../precision/precision.ts';
import { type BatchGradients, type HeldGradients, lossOf } from './batch-gradients.ts';
import { pairState, stateName, type TrainState } from './state.ts';

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
  /** Whether each parameter changes as soon as its gradient is there. */
  readonly inBackward: boolean;
  /** f32 `[6]`, with updates in the backward pass: what a step reports, computed behind them. */
  readonly metrics: Variable | undefined;
  readonly parameters: readonly TrainedParameter[];
  readonly state: TrainState;
}

/** How many steps ahead the host says what their numbers are; a power of two. */
export const scalarRows = 8;

/** Gradients in f32 without the loss scale: recorded where they are used, so that what is held in between is their own dtype. */
export function unscaled(gradients: readonly Tensor[], lossScale: Tensor | undefined): readonly Tensor[] {
  return lossScale ? gradients.map((gradient) => gradient.cast('f32').div(lossScale)) : gradients;
}

/**
 * Records a batch of a step that has more: its gradients are added up.
 * @param accumulators f32: sums over the batches of a step before its last, of gradients and losses times what they count
 * @param fresh f32 `[1]`: not 0 for the first of a step
 */
export function recordPart(own: BatchGradients, accumulators: HeldGradients, fresh: Tensor): Update[] {
  const { mean, count, lossScale } = own;
  const gradients = unscaled(own.gradients, lossScale);
  const isFresh = fresh.reshape([]).greater(0);
  const add = (sum: Variable, value: Tensor) => sum.assign(where(isFresh, value, sum.add(value)));
  return [
    ...accumulators.gradients.map((sum, i) => add(sum, gradients[i]!.cast('f32').mul(count))),
    add(accumulators.loss, pairOf(mean.mul(count), count)),
  ];
}

/** What a step found of its batches before anything changes. */
interface Found extends BatchGradients {
  /** Of the gradients without the loss scale. */
  readonly norm: Tensor;
  readonly applied: Tensor;
  /** f32: loss, gradient norm, applied, applied before, count, loss scale. */
  readonly metrics: Tensor;
  /** Of the loss scale, and the count of the steps that were applied. */
  readonly updates: readonly Update[];
}

function recordFound(
  { precision, state }: StepParts,
  own: BatchGradients,
  accumulators: HeldGradients | undefined,
): Found {
  const { mean, count, gradients, lossScale } = accumulators ? together(own, accumulators) : own;
  const scaledNorm = globalNorm(gradients);
  const norm = lossScale ? scaledNorm.div(lossScale) : scaledNorm;
  const applied = whetherFinite(mean).and(whetherFinite(norm)).and(count.greater(0));
  const metrics = [mean, norm, applied, state.applied, count, own.lossScale ?? mean.device.ones([])];
  const scaleUpdates = precision.lossScale
    ? pairState(state.lossScale, precision.lossScale.update(state.lossScale, applied))
    : [];
  return {
    mean,
    count,
    gradients,
    lossScale,
    norm,
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
  batch: BatchGradients,
  accumulators: HeldGradients | undefined,
  scalars: Tensor,
): { metrics?: Tensor; numbers: Tensor; updates: Update[] } {
  const { parameters, state } = parts;
  const step = recordFound(parts, batch, accumulators);
  const { metrics, updates } = step;
  // an output: updates then read a value of its own instead of a count that changes with them, and can be made in place
  const numbers = take(scalars, bitAnd(state.applied, scalarRows - 1));
  // for the same reason they read what was found from the metrics, unless that made them wait for all gradients
  const { norm, applied, lossScale } = parts.inBackward ? step : fromMetrics(step);
  const next = recordUpdate(parts, unscaled(step.gradients, lossScale), numbers, norm);
  const changes = parts.inBackward ? changesAlone(parameters, step) : () => applied;
  const assign = (owner: string | undefined) => (variable: Variable, value: Tensor) =>
    variable.assign(where(changes(owner), value, variable));
  const stateOf = byParameter(parts, pairState(state.optimizer, next.state));
  // a parameter's together, so that what they are computed from need not be kept until all parameters are done
  const own = parameters.map(({ value, name }, i) => [
    ...parameterUpdates(parts, value, i, next.parameters[i]!, assign(name)),
    ...(stateOf.get(name) ?? []).map((pair) => assign(name)(...pair)),
  ]);
  const others = [...(stateOf.get(undefined) ?? []).map((pair) => assign(undefined)(...pair)), ...updates];
  if (!parts.metrics) return { metrics, numbers, updates: [...own.flat(), ...others] };
  // graphs are computed in the order of what they give: the last layers' gradients come first
  return { numbers, updates: [...own.reverse().flat(), ...others, parts.metrics.assign(metrics)] };
}

/** Parts of what a step found, read from what it reports. */
function fromMetrics({ metrics, lossScale }: Found): Pick<Found, 'norm' | 'applied' | 'lossScale'> {
  const at = (place: number) => metrics.slice(0, place, place + 1).reshape([]);
  return { norm: at(1), applied: at(2).greater(0), lossScale: lossScale && at(5) };
}

/**
 * Whether a parameter changes, known once its own gradient is: where that and the loss are finite. State of no parameter waits for
 * all of them.
 */
function changesAlone(parameters: readonly TrainedParameter[], { mean, count, gradients, applied }: Found) {
  const isLossGood = whetherFinite(mean).and(count.greater(0));
  const each = new Map(
    parameters.map(({ name }, i) => [name, isLossGood.and(whetherFinite(globalNorm([gradients[i]!])))]),
  );
  return (owner: string | undefined) => (owner === undefined ? applied : each.get(owner)!);
}

type NextState = readonly [Variable, Tensor];

/** State by the parameter that its variables are named after; that of none under undefined. */
function byParameter(
  { parameters }: StepParts,
  pairs: readonly NextState[],
): ReadonlyMap<string | undefined, readonly NextState[]> {
  const names = new Set(parameters.map(({ name }) => name));
  const found = new Map<string | undefined, NextState[]>();
  for (const pair of pairs) {
    // 'optimizer.layers.0.weight.firstMoment.codes' belongs to 'layers.0.weight'
    let end = pair[0].name.length;
    let owner: string | undefined;
    while (owner === undefined && end > 0) {
      end = pair[0].name.lastIndexOf('.', end - 1);
      const candidate = pair[0].name.slice(stateName('').length, Math.max(0, end));
      if (names.has(candidate)) owner = candidate;
    }
    found.set(owner, [...(found.get(owner) ?? []), pair]);
  }
  return found;
}

/** Records the part of a step before its update, which is made elsewhere: what it reports, and gradients as they were found. */
export function recordGradients(
  parts: StepParts,
  batch: BatchGradients,
  accumulators: HeldGradients | undefined,
): { metrics: Tensor; gradients: Tensor[]; updates: Update[] } {
  const { gradients, metrics, updates } = recordFound(parts, batch, accumulators);
  return { metrics, gradients: [...gradients], updates: [...updates] };
}

/** Records the next parameters and state. `row` is f32 `[1, N]`: the optimizer's numbers. */
export function recordUpdate(
  { optimizer, state, inBackward }: Pick<StepParts, 'optimizer' | 'state' | 'inBackward'>,
  gradients: readonly Tensor[],
  row: Tensor,
  norm?: Tensor,
): { readonly parameters: readonly Tensor[]; readonly state: unknown } {
  const numbers = optimizer.scalars(0).map((_, i) => row.slice(1, i, i + 1).reshape([]));
  const next = optimizer.update(gradients, state.optimizer, state.masters, {
    scalars: numbers,
    ...(norm && { norm: { gradients, value: norm } }),
    ...(inBackward && { inBackward }),
  });
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
function together({ mean, count, gradients, lossScale }: BatchGradients, accumulators: HeldGradients): BatchGradients {
  const [lossBefore, countBefore] = lossOf(accumulators);
  const total = countBefore.add(count);
  const divisor = total.maximum(total.greater(0).not().cast('f32'));
  return {
    mean: lossBefore.add(mean.mul(count)).div(divisor),
    count: total,
    lossScale: undefined,
    gradients: unscaled(gradients, lossScale).map((gradient, i) =>
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
