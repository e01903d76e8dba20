import { isFloat, Variable } from '@heddle/tensor';
import { TrainingError } from './errors.ts';

/** The weights of a model by name. */
export type ModelParameters = Readonly<Record<string, Variable>> | ReadonlyMap<string, Variable>;

/** A weight that is trained. */
export interface TrainedParameter {
  /** Its key among the model's parameters. */
  readonly name: string;
  readonly value: Variable;
}

/**
 * The parameters that an optimizer changes, in the model's order. A variable under several names (tied weights) is one
 * parameter, by its first name.
 * @throws TrainingError `ERR_PARAMETER` naming the parameter and what is wrong with it
 */
export function trainedParameters(parameters: ModelParameters): readonly TrainedParameter[] {
  const entries: Iterable<readonly [string, unknown]> =
    parameters instanceof Map ? parameters.entries() : Object.entries(parameters);
  const found = new Map<Variable, TrainedParameter>();
  for (const [name, value] of entries) {
    const wrong = (what: string) => new TrainingError('ERR_PARAMETER', `train: parameter '${name}' ${what}`);
    if (!(value instanceof Variable)) throw wrong(`must be a Variable, got ${describe(value)}`);
    value.assertUsable(`train: parameter '${name}'`);
    if (value.frozen) throw wrong('is frozen: make its variable without `frozen`, or leave it out of `parameters`');
    if (!isFloat(value.dtype)) throw wrong(`must be f32 or f16, got ${value.dtype}`);
    const device = found.values().next().value?.value.device ?? value.device;
    if (value.device !== device)
      throw wrong(`must be on the device of the others, got ${value.device.name} and ${device.name}`);
    if (!found.has(value)) found.set(value, { name, value });
  }
  if (found.size === 0) throw new TrainingError('ERR_PARAMETER', 'train: the model has no parameters');
  return [...found.values()];
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? `a ${value.constructor?.name ?? 'object'}` : typeof value;
}
