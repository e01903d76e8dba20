import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError } from '../checks/errors.ts';
import { isFloat } from '../dtype.ts';
import { tensorsOf } from '../graph/recorded-leaves.ts';
import { Tensor } from '../graph/tensor.ts';
import { identity } from '../ops/movement/identity.ts';
import { mapTree, refusePromises } from '../tree.ts';
import { gradients } from './gradients.ts';

/** The gradient with respect to an argument: a tensor for a tensor, the same tree for a tree of them. */
export type Gradient<A> = A extends Tensor ? Tensor : { [K in keyof A]: Gradient<A[K]> };

/** The gradients with respect to the arguments that `N` names, in its order. */
export type Gradients<A extends readonly unknown[], N extends readonly number[]> = {
  -readonly [I in keyof N]: Gradient<A[N[I]]>;
};

type ScalarFunction<A extends readonly unknown[]> = (...args: A) => Tensor;

/**
 * Value and gradients of a function that gives a scalar.
 *
 * `valueAndGrad(f)(x, y)` is `{ value, grads }` with the gradient with respect to the first argument; `argnums` names others. Arguments
 * are tensors or nested arrays and plain objects of tensors; each gradient has the shape and dtype of its tensor. Only
 * records: gradients of gradients work.
 * @throws ShapeError where `f` gives no scalar; DTypeError for an argument or a value that is no float
 */
export function valueAndGrad<A extends readonly unknown[], const N extends readonly number[] = readonly [0]>(
  f: ScalarFunction<A>,
  options: { readonly argnums?: N } = {},
): (...args: A) => { value: Tensor; grads: Gradients<A, N> } {
  return both('valueAndGrad', f, options);
}

function both<A extends readonly unknown[], const N extends readonly number[]>(
  name: string,
  f: ScalarFunction<A>,
  options: { readonly argnums?: N },
): (...args: A) => { value: Tensor; grads: Gradients<A, N> } {
  checkArguments(name, 'function', { f });
  checkOptions(name, options, { argnums: 'list?' });
  const argnums: readonly number[] = options.argnums ?? [0];
  for (const n of argnums)
    if (!Number.isInteger(n) || n < 0)
      throw new ArgumentError(
        `${name}: argnums must be places of arguments, from 0, got ${typeof n === 'number' ? n : describe(n)}`,
      );
  return (...args) => {
    for (const n of argnums)
      if (n >= args.length)
        throw new ArgumentError(`${name}: argnums must name arguments in [0, ${args.length - 1}], got ${n}`);
    for (const n of argnums)
      if (tensorsOf(args[n]).length === 0 && typeof args[n] !== 'object')
        throw new ArgumentError(`${name}: argument ${n} must be a tensor or a tree of them, got ${describe(args[n])}`);
    // gradients are taken at these handles, so that only uses through the argument count
    const own = args.map((arg, i) =>
      argnums.includes(i) ? mapTree(arg, (leaf) => standIn(name, leaf)) : arg,
    ) as unknown as A;
    const value: unknown = f(...own);
    refusePromises(name, value);
    if (!(value instanceof Tensor))
      throw new ArgumentError(`${name}: the function must give a tensor, got ${describe(value)}`);
    const wrt = argnums.map((n) => tensorsOf(own[n]));
    const all = gradients(value, wrt.flat());
    let next = 0;
    const grads = argnums.map((n) => mapTree(own[n], (leaf) => (leaf instanceof Tensor ? all[next++] : leaf)));
    return { value, grads: grads as Gradients<A, N> };
  };
}

function standIn(name: string, leaf: unknown): unknown {
  if (!(leaf instanceof Tensor)) return leaf;
  if (!isFloat(leaf.dtype))
    throw new DTypeError(`${name}: takes gradients with respect to f32 and f16 tensors, got ${leaf.dtype}`);
  return identity(leaf);
}

/**
 * The gradients of `valueAndGrad`, one per entry of `argnums` (by default the first argument alone).
 * @throws as `valueAndGrad`
 */
export function grad<A extends readonly unknown[], const N extends readonly number[] = readonly [0]>(
  f: ScalarFunction<A>,
  options: { readonly argnums?: N } = {},
): (...args: A) => Gradients<A, N> {
  const inner = both<A, N>('grad', f, options);
  return (...args) => inner(...args).grads;
}
