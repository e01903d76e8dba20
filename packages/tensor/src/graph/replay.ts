import { isLeafOp, type Node } from './op.ts';
import { record } from './record.ts';
import type { Tensor } from './tensor.ts';

/**
 * Nodes between `from` and `outputs`, inputs first: those whose results depend on a tensor of `from`. What is behind a tensor
 * of `ends`, by default those of `from`, is not looked at.
 */
export function nodesBetween(
  from: ReadonlySet<Tensor>,
  outputs: readonly Tensor[],
  ends: ReadonlySet<Tensor> = from,
): Node[] {
  const found: Node[] = [];
  const dependent = new Set<Tensor>(from);
  const done = new Set<Node>();
  const isEnd = (tensor: Tensor) => ends.has(tensor) || isLeafOp(tensor.node.op);
  const stack = outputs.filter((output) => !isEnd(output)).map(({ node }) => node);
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    const open = done.has(node) ? [] : node.inputs.filter((input) => !isEnd(input) && !done.has(input.node));
    if (open.length > 0) {
      for (const input of open) stack.push(input.node);
      continue;
    }
    stack.pop();
    if (done.has(node)) continue;
    done.add(node);
    if (!node.inputs.some((input) => dependent.has(input))) continue;
    for (const output of node.outputs) dependent.add(output);
    found.push(node);
  }
  return found;
}

/** Records what leads to `outputs` once more, with other tensors in the place of those that `substitutes` names. */
export function replay(outputs: readonly Tensor[], substitutes: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  const values = new Map(substitutes);
  const standFor = (tensor: Tensor) => values.get(tensor) ?? tensor;
  for (const node of nodesBetween(new Set(substitutes.keys()), outputs)) {
    const results = record(node.op, node.inputs.map(standFor), node.attributes);
    for (const [i, output] of node.outputs.entries()) values.set(output, results[i]!);
  }
  return outputs.map(standFor);
}
