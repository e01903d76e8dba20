import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import { Tensor } from '../graph/tensor.ts';
import { isBranch } from '../tree.ts';

/**
 * The tensors of nested arrays and plain objects under their paths: `blocks.0.weight`.
 * @throws ArgumentError for a leaf that is no tensor, a tensor without a path, and two of one name
 */
export function namedTensors(operation: string, tree: unknown): ReadonlyMap<string, Tensor> {
  const found = new Map<string, Tensor>();
  visitNamed(tree, (leaf, name) => {
    if (!(leaf instanceof Tensor))
      throw new ArgumentError(
        `${operation}: takes tensors in nested arrays and plain objects, got ${describe(leaf)}${name && ` as ${name}`}`,
      );
    if (name === '') throw new ArgumentError(`${operation}: a tensor alone has no name: pass it as { name: tensor }`);
    if (found.has(name)) throw new ArgumentError(`${operation}: two tensors are called ${name}`);
    found.set(name, leaf);
  });
  return found;
}

/** The tree with each leaf replaced by what `replace` gives for its path. */
export function mapNamed(
  tree: unknown,
  replace: (leaf: unknown, name: string) => unknown,
  prefix = '',
  name = '',
): unknown {
  if (!isBranch(tree)) return replace(tree, name);
  const child = (key: string | number, value: unknown) =>
    mapNamed(value, replace, `${prefix}${key}.`, `${prefix}${key}`);
  if (Array.isArray(tree)) return tree.map((value, i) => child(i, value));
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, child(key, value)]));
}

function visitNamed(tree: unknown, visit: (leaf: unknown, name: string) => void): void {
  mapNamed(tree, (leaf, name) => visit(leaf, name));
}
