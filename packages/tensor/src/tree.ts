import { Tensor } from './graph/tensor.ts';
import { Update } from './graph/variable.ts';

/** Whether a value is an array or a plain object, through which trees are walked. */
function isBranch(value: unknown): value is readonly unknown[] | Readonly<Record<string, unknown>> {
  if (Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Replaces the leaves of nested arrays and plain objects, in order. */
export function mapTree(tree: unknown, replace: (leaf: unknown, path: string) => unknown, path = ''): unknown {
  if (!isBranch(tree)) return replace(tree, path);
  if (Array.isArray(tree)) return tree.map((child, i) => mapTree(child, replace, `${path}[${i}]`));
  return Object.fromEntries(
    Object.entries(tree).map(([key, child]) => [key, mapTree(child, replace, path ? `${path}.${key}` : key)]),
  );
}

/** The leaves of nested arrays and plain objects, in order. */
export function leavesOf(tree: unknown): unknown[] {
  const leaves: unknown[] = [];
  mapTree(tree, (leaf) => leaves.push(leaf));
  return leaves;
}

/** The tensors among the leaves. */
export function tensorsOf(tree: unknown): Tensor[] {
  return leavesOf(tree).filter((leaf): leaf is Tensor => leaf instanceof Tensor);
}

/** The updates among the leaves. */
export function updatesOf(tree: unknown): Update[] {
  return leavesOf(tree).filter((leaf): leaf is Update => leaf instanceof Update);
}
