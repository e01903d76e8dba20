import { checkArguments } from '../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../checks/errors.ts';
import { isFloat } from '../dtype.ts';
import type { Node } from '../graph/op.ts';
import { nodesBetween } from '../graph/replay.ts';
import type { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/create/creation.ts';
import { cast } from '../ops/elementwise/cast.ts';
import { formatShape } from '../shape.ts';
import { assertNoneForgotten } from './history.ts';

/**
 * Gradients of `output` (a scalar) by each tensor of `wrt`, recorded as tensor operations, so that they can be
 * differentiated again. Tensors that `output` does not depend on get zeros.
 *
 * @param wrt leaves, variables or intermediate results; each gradient has the shape and dtype of its tensor, and counts every
 *   way from it to the output, those through other tensors of `wrt` too
 * @throws ShapeError where `output` is no scalar; DTypeError where it or a tensor of `wrt` is no float; ArgumentError where it
 *   was computed from one of `wrt` through a tensor that was realized, which is a constant by now
 */
export function gradients<const W extends readonly Tensor[]>(
  output: Tensor,
  wrt: W,
): { -readonly [I in keyof W]: Tensor } {
  checkArguments('gradients', 'tensor', { output });
  checkArguments('gradients', 'tensors', { wrt });
  if (output.rank !== 0)
    throw new ShapeError(`gradients: the output must be a scalar, got ${formatShape(output.shape)}; sum or average it`);
  for (const { dtype } of [output, ...wrt])
    if (!isFloat(dtype)) throw new DTypeError(`gradients: takes f32 and f16 tensors, got ${dtype}`);
  assertNoneForgotten(output, wrt);
  const found = backward([output], [full(output.device, [], 1, output.dtype)], wrt, 'total');
  const all: Tensor[] = wrt.map((tensor) => found.get(tensor) ?? full(tensor.device, tensor.shape, 0, tensor.dtype));
  return all as { -readonly [I in keyof W]: Tensor };
}

/**
 * Sends `seeds`, gradients of some scalar by `outputs`, back to `wrt`. Seeds are values of their own: they are not
 * differentiated, whatever they depend on.
 *
 * @param reach 'total' counts ways through other tensors of `wrt`; 'partial' ends at each of them
 */
export function backward(
  outputs: readonly Tensor[],
  seeds: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
  reach: 'total' | 'partial',
): ReadonlyMap<Tensor, Tensor> {
  const floats = new Set(wrt.filter(({ dtype }) => isFloat(dtype)));
  const nodes = nodesBetween(floats, outputs, new Set(reach === 'partial' ? wrt : []));
  const needed = new Set([...floats, ...nodes.flatMap((node) => node.outputs)]);
  const found = new Map<Tensor, Tensor>();
  // of f16 tensors that are used more than twice: sums in f32, so that their gradients are rounded once
  const wide = new Map<Tensor, Tensor>();
  const add = (tensor: Tensor, gradient: Tensor) => {
    const before = found.get(tensor);
    if (!before) return void found.set(tensor, gradient);
    if (tensor.dtype !== 'f16') return void found.set(tensor, before.add(gradient));
    const sum = wide.get(tensor);
    wide.set(tensor, (sum ?? cast(before, 'f32')).add(cast(gradient, 'f32')));
    found.set(tensor, sum ? cast(wide.get(tensor)!, 'f16') : before.add(gradient));
  };
  outputs.forEach((output, i) => {
    if (seeds[i] && needed.has(output)) add(output, seeds[i]);
  });
  for (const node of nodes.reverse()) propagate(node, needed, found, add);
  return found;
}

/** Sends the gradients of a node's outputs on to those of its inputs that lead to a tensor that is asked for. */
function propagate(
  node: Node,
  needed: ReadonlySet<Tensor>,
  found: ReadonlyMap<Tensor, Tensor>,
  add: (tensor: Tensor, gradient: Tensor) => void,
): void {
  const outputGradients = node.outputs.map((output) => found.get(output));
  if (outputGradients.every((gradient) => gradient === undefined)) return;
  const needs = node.inputs.map((input) => needed.has(input));
  const { op, inputs, outputs, attributes } = node;
  const by = op.gradient
    ? op.gradient({ inputs, outputs, outputGradients, needs, attributes })
    : throughDecomposition(node, outputGradients);
  by.forEach((gradient, i) => {
    if (gradient && needs[i]) add(inputs[i]!, gradient);
  });
}

/** Gradients of an operation without a rule: those of its decomposition. */
function throughDecomposition(
  node: Node,
  outputGradients: readonly (Tensor | undefined)[],
): readonly (Tensor | undefined)[] {
  if (!node.op.decompose) return node.inputs.map(() => undefined);
  const parts = node.op.decompose(node.inputs, node.attributes);
  const found = backward(parts, outputGradients, node.inputs, 'partial');
  return node.inputs.map((input) => found.get(input));
}
