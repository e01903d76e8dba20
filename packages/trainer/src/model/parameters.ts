import { isFloat, Tensor, Variable } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';

/** Weights in as many levels as the model has: objects, lists (of layers, for example) and maps, with variables as leaves. */
export type ParameterTree =
  | Variable
  | { readonly [name: string]: ParameterTree }
  | readonly ParameterTree[]
  | ReadonlyMap<string, ParameterTree>;

/** The weights of a model: any tree of variables. */
export type ModelParameters = Exclude<ParameterTree, Variable>;

/** A weight that is trained. */
export interface TrainedParameter {
  /** Its path in the tree, such as `layers.0.query.weight`; the variable's own name where the model gives a list of variables. */
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

function named(parameters: unknown): (readonly [string, unknown])[] {
  // a list of variables has no names but their own
  if (Array.isArray(parameters))
    return parameters.flatMap((value: unknown, i) =>
      value instanceof Variable ? [[value.name, value] as const] : leaves(value, `[${i}]`),
    );
  return childrenOf(parameters)?.flatMap(([key, child]) => leaves(child, key)) ?? [];
}

/** The leaves of a tree by their paths. */
function leaves(tree: unknown, path: string): (readonly [string, unknown])[] {
  const children = childrenOf(tree);
  if (!children) return [[path, tree]];
  return children.flatMap(([key, child]) => leaves(child, `${path}.${key}`));
}

/** What a branch holds, by name; undefined for a leaf. */
function childrenOf(tree: unknown): (readonly [string, unknown])[] | undefined {
  if (typeof tree !== 'object' || tree === null || tree instanceof Tensor) return undefined;
  if (tree instanceof Map) return [...tree] as [string, unknown][];
  if (Array.isArray(tree)) return tree.map((child: unknown, i) => [String(i), child] as const);
  return Object.getPrototypeOf(tree) === Object.prototype ? Object.entries(tree) : undefined;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? `a ${value.constructor?.name ?? 'object'}` : typeof value;
}
