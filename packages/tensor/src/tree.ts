import { checkArguments } from './checks/check-arguments.ts';
import { ArgumentError } from './checks/errors.ts';

/** Whether a value is an array or a plain object, through which trees are walked. */
export function isBranch(value: unknown): value is readonly unknown[] | Readonly<Record<string, unknown>> {
  if (Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/**
 * Replaces the leaves of nested arrays and plain objects, in order. `isLeaf` names plain objects that are leaves.
 * Paths read like the source: `batch.tokens`, `layers[2]`; they begin with `path`.
 * @throws ArgumentError when `replace` or `isLeaf` is no function
 */
export function mapTree(
  tree: unknown,
  replace: (leaf: unknown, path: string) => unknown,
  isLeaf: (value: unknown) => boolean = () => false,
  path = '',
): unknown {
  checkArguments('mapTree', 'function', { replace, isLeaf });
  const walk = (part: unknown, place: string): unknown => {
    if (!isBranch(part) || isLeaf(part)) return replace(part, place);
    if (Array.isArray(part)) return part.map((child, i) => walk(child, `${place}[${i}]`));
    return Object.fromEntries(
      Object.entries(part).map(([key, child]) => [key, walk(child, place ? `${place}.${key}` : key)]),
    );
  };
  return walk(tree, path);
}

/**
 * Makes copies of a tree in which each leaf that `isPlace` names is replaced by the next of some values, and every other leaf by
 * what `fix` gives for it. Branches without such places are the same object in every copy, and frozen.
 */
export function copierOf(
  tree: unknown,
  isPlace: (leaf: unknown) => boolean,
  fix: (leaf: unknown) => unknown,
): (values: readonly unknown[]) => unknown {
  let count = 0;
  type Fill = (values: readonly unknown[]) => unknown;
  const make = (part: unknown): { readonly fixed: unknown } | { readonly fill: Fill } => {
    if (isPlace(part)) {
      const place = count++;
      return { fill: (values) => values[place] };
    }
    if (!isBranch(part)) return { fixed: fix(part) };
    const keys = Object.keys(part);
    const parts = keys.map((key) => make((part as Readonly<Record<string, unknown>>)[key]));
    const isList = Array.isArray(part);
    const build = (partOf: (i: number) => unknown) => {
      const copy: unknown[] | Record<string, unknown> = isList ? new Array(keys.length) : {};
      for (let i = 0; i < keys.length; i++) (copy as Record<string, unknown>)[keys[i]!] = partOf(i);
      return copy;
    };
    if (parts.every((each) => 'fixed' in each))
      return { fixed: Object.freeze(build((i) => (parts[i] as { fixed: unknown }).fixed)) };
    return {
      fill: (values) =>
        build((i) => {
          const each = parts[i]!;
          return 'fill' in each ? each.fill(values) : each.fixed;
        }),
    };
  };
  const root = make(tree);
  return 'fill' in root ? root.fill : () => root.fixed;
}

/** A leaf of a tree and how to find what stands at its place in another one. */
export interface TreePlace {
  readonly leaf: unknown;
  /** What stands there; undefined where `other` has no such place. */
  in(other: unknown): unknown;
}

/** The leaves of a tree with their places. `isLeaf` names arrays and plain objects that are leaves, too. */
export function placesOf(tree: unknown, isLeaf: (value: unknown) => boolean): TreePlace[] {
  const places: TreePlace[] = [];
  const visit = (part: unknown, keys: readonly string[]) => {
    if (!isLeaf(part) && isBranch(part)) {
      for (const [key, child] of Object.entries(part)) visit(child, [...keys, key]);
      return;
    }
    places.push({
      leaf: part,
      in(other) {
        let found = other;
        for (let i = 0; i < keys.length; i++)
          found = isBranch(found) ? (found as Readonly<Record<string, unknown>>)[keys[i]!] : undefined;
        return found;
      },
    });
  };
  visit(tree, []);
  return places;
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
