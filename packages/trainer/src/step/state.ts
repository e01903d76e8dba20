import { type Device, Tensor, Variable } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import type { TrainedParameter } from '../model/parameters.ts';
import type { AllocateState, Optimizer } from '../optimizers/optimizer.ts';
import type { AllocateScalar } from '../precision/loss-scale.ts';
import type { PrecisionPlan } from '../precision/precision.ts';

/** All that a run keeps on the device beside the model. */
export interface TrainState {
  /** What the optimizer changes: the model's variables, or the f32 masters of those in f16. In the parameters' order. */
  readonly masters: readonly TrainedParameter[];
  readonly optimizer: unknown;
  readonly lossScale: unknown;
  /** Steps that were applied, i32 `[1]`. */
  readonly applied: Variable;
  /** Moving averages of the parameters, f32, in their order; empty without. */
  readonly averages: readonly Variable[];
  /** Every variable of these by its name, the model's not among them. */
  readonly variables: ReadonlyMap<string, Variable>;
}

interface StateParts {
  readonly optimizer: Optimizer;
  readonly precision: PrecisionPlan;
  readonly averages: boolean;
}

/** Makes the state; where a part does not fit, none is kept. @throws OutOfMemoryError */
export function allocateState(
  device: Device,
  parameters: readonly TrainedParameter[],
  { optimizer, precision, averages }: StateParts,
): TrainState {
  const variables = new Map<string, Variable>();
  const keep = (name: string, variable: Variable) => {
    let unique = name;
    for (let i = 2; variables.has(unique); i++) unique = `${name}#${i}`;
    variables.set(unique, variable);
    return variable;
  };
  const zeros = (name: string, shape: readonly number[], dtype: Tensor['dtype'] = 'f32', owner = 'optimizer') =>
    keep(name, device.zeroVariable(shape, { name, owner, dtype }));
  const allocate: AllocateState = (name, shape, dtype) => zeros(`optimizer.${name}`, shape as readonly number[], dtype);
  const scalar: AllocateScalar = (name, value, dtype = 'f32') =>
    keep(`lossScale.${name}`, device.variable(value, { name, dtype, owner: 'training' }));
  try {
    const masters = parameters.map((parameter): TrainedParameter => {
      const { name, value } = parameter;
      if (!precision.masters || value.dtype !== 'f16') return parameter;
      return { name, value: zeros(`master.${name}`, value.shape as readonly number[], 'f32', 'master weights') };
    });
    return {
      masters,
      optimizer: optimizer.init(masters, allocate),
      lossScale: precision.lossScale?.init(scalar),
      applied: zeros('applied', [1], 'i32', 'training'),
      averages: averages
        ? parameters.map(({ name, value }) =>
            zeros(`average.${name}`, value.shape as readonly number[], 'f32', 'averages'),
          )
        : [],
      variables,
    };
  } catch (cause) {
    for (const variable of variables.values()) variable.dispose();
    throw cause;
  }
}

/** Masters and averages begin as the parameters are. */
export async function fillState(
  device: Device,
  parameters: readonly TrainedParameter[],
  { masters, averages }: TrainState,
): Promise<void> {
  const updates = parameters.flatMap(({ value }, i) => [
    ...(masters[i]!.value === value ? [] : [masters[i]!.value.assign(value.cast('f32'))]),
    ...(averages[i] ? [averages[i].assign(value.cast('f32'))] : []),
  ]);
  if (updates.length > 0) await device.realize([], updates);
}

/** Each variable of a state with its next value, by their place in the tree. @throws TrainingError `ERR_OPTIMIZER` */
export function pairState(state: unknown, next: unknown, path = ''): [Variable, Tensor][] {
  if (state instanceof Variable) {
    if (next instanceof Tensor) return [[state, next]];
    throw new TrainingError('ERR_OPTIMIZER', `train: the optimizer's next state has no tensor at ${path}`);
  }
  if (typeof state !== 'object' || state === null || state instanceof Tensor) return [];
  const there = (typeof next === 'object' && next !== null ? next : {}) as Readonly<Record<string, unknown>>;
  return Object.entries(state).flatMap(([key, child]) => {
    const step = Array.isArray(state) ? `[${key}]` : path ? `.${key}` : key;
    return pairState(child, there[key], path + step);
  });
}
