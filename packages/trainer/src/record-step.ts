import {
  concat,
  DTypeError,
  formatShape,
  gradients,
  isFloat,
  mapTree,
  ShapeError,
  Tensor,
  type Update,
  Variable,
  where,
} from '@heddle/tensor';
import { globalNorm } from './clip-by-global-norm.ts';
import { TrainingError } from './errors.ts';
import type { Optimizer } from './optimizer.ts';
import type { ModelParameters, TrainedParameter } from './parameters.ts';

/** Anything with weights and a forward pass. */
export interface TrainableModel<I, Output> {
  readonly parameters: ModelParameters;
  /** Records the output for a batch. Traced once per shape of a batch. */
  forward(batch: I): Output;
}

export interface TrainStepOptions<I, Output> {
  readonly model: TrainableModel<I, Output>;
  /** Records what is to become small, a float scalar. */
  readonly loss: (output: Output, batch: I) => Tensor;
  readonly optimizer: Optimizer;
}

/** A batch whose names are not known to the types. */
export type Traced = Readonly<Record<string, Tensor>>;

/** Records one step: what it reports, and the updates that it makes. */
export function recordStep(
  { model, loss: lossOf, optimizer }: TrainStepOptions<Traced, unknown>,
  parameters: readonly TrainedParameter[],
  state: unknown,
  batch: Traced,
  scalars: Tensor,
): { metrics: Tensor; updates: Update[] } {
  const loss = lossOf(model.forward(batch), batch);
  checkLoss(loss);
  const values = parameters.map(({ value }) => value);
  const byParameter = gradients(loss, values);
  const norm = globalNorm(byParameter);
  const count = optimizer.scalars(0).length;
  const context = { scalars: Array.from({ length: count }, (_, i) => scalars.slice(0, i, i + 1).reshape([])) };
  const next = optimizer.update(byParameter, state, parameters, context);
  if (next.parameters.length !== parameters.length)
    throw new TrainingError(
      'ERR_OPTIMIZER',
      `train: the optimizer must give ${parameters.length} parameters, got ${next.parameters.length}`,
    );
  const finite = whetherFinite(loss).and(whetherFinite(norm));
  const assign = (variable: Variable, value: Tensor) => variable.assign(where(finite, value, variable));
  const metrics = [loss, norm, finite].map((scalar) => scalar.cast('f32').reshape([1]));
  return {
    metrics: concat(metrics, 0),
    updates: [
      ...values.map((variable, i) => assign(variable, next.parameters[i]!)),
      ...pairState(state, next.state).map(([variable, value]) => assign(variable, value)),
    ],
  };
}

/** @throws ShapeError, DTypeError, for what has no gradient */
function checkLoss(loss: unknown): asserts loss is Tensor {
  if (!(loss instanceof Tensor)) throw new ShapeError(`train: the loss must be a scalar tensor, got ${typeof loss}`);
  if (loss.rank !== 0)
    throw new ShapeError(`train: the loss must be a scalar, got ${formatShape(loss.shape)}; sum or average it`);
  if (!isFloat(loss.dtype)) throw new DTypeError(`train: the loss must be f32 or f16, got ${loss.dtype}`);
}

/** Neither NaN nor infinite: of those no comparison with the largest finite number holds. */
function whetherFinite(scalar: Tensor): Tensor {
  return scalar.cast('f32').abs().lessEqual(3.4028234663852886e38);
}

/** Each variable of the state with its next value, by their place in the tree. */
function pairState(state: unknown, next: unknown): [Variable, Tensor][] {
  const values = new Map<string, unknown>();
  mapTree(next, (leaf, path) => values.set(path, leaf));
  const pairs: [Variable, Tensor][] = [];
  mapTree(state, (leaf, path) => {
    if (!(leaf instanceof Variable)) return;
    const value = values.get(path);
    if (!(value instanceof Tensor))
      throw new TrainingError('ERR_OPTIMIZER', `train: the optimizer's next state has no tensor at ${path}`);
    pairs.push([leaf, value]);
  });
  return pairs;
}
