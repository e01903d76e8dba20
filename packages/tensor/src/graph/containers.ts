import { plainKey } from '../plain-key.ts';
import { isLeafOp, type Node, type Op } from './op.ts';
import type { Tensor } from './tensor.ts';
import type { Update } from './variable.ts';

/** Where the outputs of applications are found that others of a recording compute on the way (`contains` of an operation). */
export interface Containers {
  /** The output of another application that is the same as `tensor`. */
  find(tensor: Tensor): Tensor | undefined;
}

export function containersOf(recording: {
  readonly outputs: readonly Tensor[];
  readonly updates: readonly Update[];
}): Containers {
  const contained = new Set<Op>();
  const byKey = new Map<string, Node>();
  const seen = new Set<Node>();
  const ends = recording.updates.flatMap(({ value, rows }) => (rows ? [value, rows] : [value]));
  const stack = [...recording.outputs, ...ends].map(({ node }) => node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node) || isLeafOp(node.op)) continue;
    seen.add(node);
    const { contains } = node.op;
    if (contains) {
      contained.add(contains.op);
      byKey.set(keyOf(contains.op, contains.attributes(node.attributes), node.inputs), node);
    }
    for (const input of node.inputs) if (!input.storage) stack.push(input.node);
  }
  return {
    find({ node: { op, attributes, inputs }, outputIndex }) {
      return contained.has(op) ? byKey.get(keyOf(op, attributes, inputs))?.outputs[outputIndex] : undefined;
    },
  };
}

function keyOf(op: Op, attributes: unknown, inputs: readonly Tensor[]): string {
  const { device } = inputs[0]!;
  return [device.identify(op), plainKey(attributes), ...inputs.map((input) => device.identify(input))].join(' ');
}
