import { isFloat, Variable } from '@heddle/tensor';
import { TrainingError } from './errors.ts';

/** Weights by name, in as many levels as the model has: `layer.query.weight`. */
export interface ParameterTree {
  readonly [name: string]: Variable | ParameterTree;
}

/** The weights of a model: a tree by names, a map, or a list of variables that have names of their own. */
export type ModelParameters = ParameterTree | ReadonlyMap<string, Variable> | readonly Variable[];

/** A weight that is trained. */
export interface TrainedParameter {
  /** Its key among the model's parameters, or the variable's own name where they are a list. */
  readonly name: string;
  readonly value: Variable;
}

/**
 * The parameters that an optimizer changes, in the model's order. A variable under several names (tied weights) is one
 * parameter, by its first name.
 * @throws TrainingError `ERR_PARAMETER` naming the parameter and what is wrong with it
 */
export function trainedParameters(parameters: ModelParameters): readonly TrainedParameter[] {
  const found = new Map<Variable, TrainedParameter>();
  for (const [name, value] of named(parameters)) {
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

function named(parameters: ModelParameters): Iterable<readonly [string, unknown]> {
  if (parameters instanceof Map) return parameters;
  if (!Array.isArray(parameters)) return leaves(parameters as ParameterTree, '');
  return parameters.map((value: unknown, i) => [value instanceof Variable ? value.name : `[${i}]`, value]);
}

/** The leaves of a tree by their paths. */
function leaves(tree: ParameterTree, path: string): (readonly [string, unknown])[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const isTree = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    return isTree ? leaves(value as ParameterTree, `${path}${key}.`) : [[`${path}${key}`, value] as const];
  });
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? `a ${value.constructor?.name ?? 'object'}` : typeof value;
}
