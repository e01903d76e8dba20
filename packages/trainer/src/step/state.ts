import { type Device, type DType, f16ToF32, type HostArray, Tensor, type Update, Variable } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import type { TrainedParameter } from '../model/parameters.ts';
import type { AllocateState, Optimizer } from '../optimizers/optimizer.ts';
import type { AllocateScalar } from '../precision/loss-scale.ts';
import type { PrecisionPlan } from '../precision/precision.ts';
import { writeVariable } from './variables.ts';

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
  /** Where masters and the optimizer's state are, if that is not the model's device. */
  readonly host: Device | undefined;
  readonly optimizer: Optimizer;
  readonly precision: PrecisionPlan;
  readonly averages: boolean;
}

/** What a variable of the optimizer's state is called that an optimizer names after a parameter. */
export const stateName = (name: string): string => `optimizer.${name}`;

/** Makes the state; where a part does not fit, none is kept. @throws OutOfMemoryError */
export function allocateState(
  device: Device,
  parameters: readonly TrainedParameter[],
  { host, optimizer, precision, averages }: StateParts,
): TrainState {
  const variables = new Map<string, Variable>();
  const keep = (name: string, variable: Variable) => {
    let unique = name;
    for (let i = 2; variables.has(unique); i++) unique = `${name}#${i}`;
    variables.set(unique, variable);
    return variable;
  };
  const zeros = (on: Device, name: string, shape: readonly number[], owner: string, dtype: DType = 'f32') =>
    keep(name, on.zeroVariable(shape, { name, owner, dtype }));
  const allocate: AllocateState = (name, shape, dtype) =>
    zeros(host ?? device, stateName(name), shape as readonly number[], 'optimizer', dtype);
  const scalar: AllocateScalar = (name, value, dtype = 'f32') =>
    keep(`lossScale.${name}`, device.variable(value, { name, dtype, owner: 'training' }));
  try {
    const masters = parameters.map((parameter): TrainedParameter => {
      const { name, value } = parameter;
      if (!host && !(precision.masters && value.dtype === 'f16')) return parameter;
      const shape = value.shape as readonly number[];
      return { name, value: zeros(host ?? device, `master.${name}`, shape, 'master weights') };
    });
    return {
      masters,
      optimizer: optimizer.init(masters, allocate),
      lossScale: precision.lossScale?.init(scalar),
      applied: zeros(device, 'applied', [1], 'training', 'i32'),
      averages: averages
        ? parameters.map(({ name, value }) =>
            zeros(device, `average.${name}`, value.shape as readonly number[], 'averages'),
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
  const updates: Update[] = [];
  for (const [i, { value }] of parameters.entries()) {
    const master = masters[i]!.value;
    if (master.device !== device) await writeVariable(master, f32Of(value.dtype, await value.data()));
    else if (master !== value) updates.push(master.assign(value.cast('f32')));
    if (averages[i]) updates.push(averages[i].assign(value.cast('f32')));
  }
  if (updates.length > 0) await device.realize([], updates);
}

const f32Of = (dtype: DType, data: HostArray): HostArray => (dtype === 'f16' ? f16ToF32(data as Uint16Array) : data);

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
