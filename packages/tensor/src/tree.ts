import { ArgumentError } from './errors.ts';
import { Tensor } from './graph/tensor.ts';
import { Update } from './graph/variable.ts';

/** Whether a value is an array or a plain object, through which trees are walked. */
export function isBranch(value: unknown): value is readonly unknown[] | Readonly<Record<string, unknown>> {
  if (Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/**
 * Replaces the leaves of nested arrays and plain objects, in order. `isLeaf` names plain objects that are leaves.
 * Paths read like the source: `batch.tokens`, `layers[2]`.
 */
export function mapTree(
  tree: unknown,
  replace: (leaf: unknown, path: string) => unknown,
  isLeaf: (value: unknown) => boolean = () => false,
  path = '',
): unknown {
  if (!isBranch(tree) || isLeaf(tree)) return replace(tree, path);
  if (Array.isArray(tree)) return tree.map((child, i) => mapTree(child, replace, isLeaf, `${path}[${i}]`));
  return Object.fromEntries(
    Object.entries(tree).map(([key, child]) => [key, mapTree(child, replace, isLeaf, path ? `${path}.${key}` : key)]),
  );
}

/** Calls `visit` for each leaf of `tree` that `isLeaf` names, with what stands at its place in `other`. */
export function visitTogether(
  tree: unknown,
  other: unknown,
  isLeaf: (value: unknown) => boolean,
  visit: (leaf: unknown, counterpart: unknown) => void,
): void {
  if (isLeaf(tree)) visit(tree, other);
  else if (isBranch(tree)) {
    const branch = (isBranch(other) ? other : {}) as Readonly<Record<string, unknown>>;
    for (const [key, child] of Object.entries(tree)) visitTogether(child, branch[key], isLeaf, visit);
  }
}

/** The leaves of nested arrays and plain objects, in order. */
export function leavesOf(tree: unknown): unknown[] {
  const leaves: unknown[] = [];
  mapTree(tree, (leaf) => leaves.push(leaf));
  return leaves;
}

/**
 * @throws ArgumentError naming `operation` where what a function gave is a promise, or has one in it: functions that are recorded
 *   give their results at once. What the promise ends with is nobody's then, and does not end the process.
 */
export function refusePromises(operation: string, result: unknown): void {
  mapTree(result, (leaf, path) => {
    if (typeof (leaf as PromiseLike<unknown> | undefined)?.then !== 'function') return;
    Promise.resolve(leaf).catch(() => {});
    throw new ArgumentError(
      `${operation}: the function must give its results at once, got a promise${path ? ` as ${path}` : ''}: it only records`,
    );
  });
}

/** The tensors among the leaves. */
export function tensorsOf(tree: unknown): Tensor[] {
  return leavesOf(tree).filter((leaf): leaf is Tensor => leaf instanceof Tensor);
}

/** The updates among the leaves. */
export function updatesOf(tree: unknown): Update[] {
  return leavesOf(tree).filter((leaf): leaf is Update => leaf instanceof Update);
}
