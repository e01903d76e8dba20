import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, ShapeError } from '../checks/errors.ts';
import type { Node } from '../graph/op.ts';
import { tensorsOf } from '../graph/recorded-leaves.ts';
import { nodesBetween } from '../graph/replay.ts';
import { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/create/creation.ts';
import { identity } from '../ops/movement/identity.ts';
import { expand, permute } from '../ops/movement/movement.ts';
import { formatShape, normalizeAxis } from '../shape.ts';
import { mapTree, refusePromises } from '../tree.ts';
import { type Batched, batchNode } from './batch-rules.ts';

/** Where the axis of the examples is. */
export interface VmapOptions {
  /** In the tensors of each argument; null of an argument that is the same for all. 0 of all by default. */
  readonly inAxes?: number | readonly (number | null)[];
  /** In the results; 0 by default. */
  readonly outAxis?: number;
}

/**
 * The same function for many examples at once: what takes and gives a tensor of an example takes and gives tensors with one axis
 * more. It is recorded once; products, sums, functions of values and indexing are computed for all examples together, an
 * operation that has no such rule once for each. Arguments and results are tensors or trees of them.
 *
 * ```ts
 * const perExample = vmap(grad((w: Tensor, x: Tensor) => loss(w, x)), { inAxes: [null, 0] }); // gradients of each example
 * ```
 * The returned function throws ArgumentError where no argument has examples, ShapeError where arguments have different numbers.
 */
export function vmap<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: VmapOptions = {},
): (...args: A) => R {
  checkArguments('vmap', 'function', { fn });
  checkOptions('vmap', options, { inAxes: 'anything', outAxis: 'number?' });
  const { inAxes = 0, outAxis = 0 } = options;
  for (const axis of Array.isArray(inAxes) ? (inAxes as readonly unknown[]) : [inAxes])
    if (!Number.isInteger(axis) && !(Array.isArray(inAxes) && (axis === null || axis === undefined)))
      throw new ArgumentError(`vmap: inAxes must be an axis, or for each argument one or null, got ${describe(axis)}`);
  return (...args) => {
    if (typeof inAxes !== 'number' && inAxes.length !== args.length)
      throw new ArgumentError(`vmap: inAxes must name ${args.length} axes, one an argument, got ${inAxes.length}`);
    const given = new Map<Tensor, Tensor>();
    let size: number | undefined;
    const own = args.map((argument, i) => {
      const axis = typeof inAxes === 'number' ? inAxes : inAxes[i];
      if (axis === null || axis === undefined) return argument;
      return mapTree(argument, (leaf) => {
        if (!(leaf instanceof Tensor)) return leaf;
        const at = normalizeAxis('vmap', axis, leaf.rank);
        size = sameSize(size, leaf, at);
        const example = leaf.shape.filter((_, other) => other !== at);
        const standIn = identity(full(leaf.device, example, 0, leaf.dtype));
        given.set(standIn, permute(leaf, [at, ...leaf.shape.map((_, other) => other).filter((other) => other !== at)]));
        return standIn;
      });
    }) as unknown as A;
    if (size === undefined) throw new ArgumentError('vmap: no argument has examples: none is a tensor with an axis');
    const result = fn(...own);
    refusePromises('vmap', result);
    const batched = batchOutputs(tensorsOf(result), given, size, outAxis);
    return mapTree(result, (leaf) => (leaf instanceof Tensor ? batched.get(leaf) : leaf)) as R;
  };
}

function sameSize(before: number | undefined, tensor: Tensor, axis: number): number {
  const size = tensor.shape[axis]!;
  if (typeof size !== 'number' || size === 0)
    throw new ShapeError(`vmap: the number of examples must be a number from 1, got ${formatShape(tensor.shape)}`);
  if (before !== undefined && before !== size)
    throw new ShapeError(`vmap: arguments must have as many examples each, got ${before} and ${size}`);
  return size;
}

/** Records what leads to the outputs for all examples. */
function batchOutputs(
  outputs: readonly Tensor[],
  given: ReadonlyMap<Tensor, Tensor>,
  size: number,
  outAxis: number,
): ReadonlyMap<Tensor, Tensor> {
  const values = new Map(given);
  const inputsOf = (node: Node): Batched[] =>
    node.inputs.map((input) => {
      const tensor = values.get(input);
      return tensor ? { tensor, isBatched: true } : { tensor: input, isBatched: false };
    });
  for (const node of nodesBetween(new Set(given.keys()), outputs)) {
    const made = batchNode(node, inputsOf(node), size);
    for (const [i, output] of node.outputs.entries()) values.set(output, made[i]!);
  }
  return new Map(
    outputs.map((output) => {
      const batched = values.get(output) ?? expand(output, [size, ...output.shape]);
      const at = normalizeAxis('vmap', outAxis, batched.rank);
      const order = batched.shape.map((_, i) => i).slice(1);
      order.splice(at, 0, 0);
      return [output, permute(batched, order)];
    }),
  );
}
