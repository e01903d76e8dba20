import { ShapeError } from '../errors.ts';
import { isLeafOp, type Node } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/creation.ts';
import { formatShape } from '../shape.ts';

/**
 * Gradients of `output` (a scalar) by each tensor of `wrt`, recorded as tensor operations, so that they can be
 * differentiated again. Tensors that `output` does not depend on get zeros.
 *
 * @param wrt leaves, variables or intermediate results; each gradient has the shape and dtype of its tensor
 * @throws ShapeError where `output` is no scalar
 */
export function gradients(output: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (output.rank !== 0)
    throw new ShapeError(`gradients: the output must be a scalar, got ${formatShape(output.shape)}; sum or average it`);
  const order = dependents(output, new Set(wrt));
  const found = new Map<Tensor, Tensor>();
  const add = (tensor: Tensor, gradient: Tensor) => {
    const before = found.get(tensor);
    found.set(tensor, before ? before.add(gradient) : gradient);
  };
  if (order.needed.has(output)) add(output, full(output.device, [], 1, output.dtype));
  for (const node of order.nodes.reverse()) propagate(node, order.needed, found, add);
  return wrt.map((tensor) => found.get(tensor) ?? full(tensor.device, tensor.shape, 0, tensor.dtype));
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
  const weighted = parts.flatMap((part, i) => (outputGradients[i] ? [part.mul(outputGradients[i]).sum()] : []));
  return gradients(
    weighted.reduce((a, b) => a.add(b)),
    node.inputs,
  );
}

/** The nodes between `wrt` and `output`, inputs first, and the tensors whose gradient is needed on the way. */
function dependents(output: Tensor, wrt: ReadonlySet<Tensor>): { nodes: Node[]; needed: Set<Tensor> } {
  const needed = new Set<Tensor>();
  const nodes: Node[] = [];
  const done = new Set<Node>();
  const stack: Node[] = [output.node];
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    if (done.has(node)) {
      stack.pop();
      continue;
    }
    const inputs = isLeafOp(node.op) ? [] : node.inputs;
    const open = inputs.filter((input) => !done.has(input.node) && !wrt.has(input));
    if (open.length > 0) {
      stack.push(...open.map((input) => input.node));
      continue;
    }
    stack.pop();
    done.add(node);
    for (const input of inputs) if (wrt.has(input)) needed.add(input);
    if (inputs.some((input) => needed.has(input))) {
      for (const result of node.outputs) needed.add(result);
      nodes.push(node);
    }
  }
  for (const tensor of wrt) if (tensor === output) needed.add(tensor);
  return { nodes, needed };
}
