import { dimsEqual } from '../../../dim.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { shapesEqual, sizeOf } from '../../../shape.ts';
import { type Dataflow, kindOf } from './dataflow.ts';

/** Elementwise operations that follow a kernel and that its stores can compute: `root` is all that is left of `source`. */
export interface EpilogueGroup {
  readonly source: Tensor;
  readonly root: Tensor;
  /** The operations from the source to the root. */
  readonly nodes: readonly Node[];
}

/** A group is a handful of operations; more are better off in a kernel of their own. */
const maxNodes = 24;

/**
 * The largest epilogue group of `source`: value by value at the same place, nothing but the root used outside. `taken` are
 * operations of other groups.
 */
export function epilogueGroupOf(source: Tensor, flow: Dataflow, taken: ReadonlySet<Node>): EpilogueGroup | undefined {
  const open = new Set([source]);
  const nodes: Node[] = [];
  const inside = new Set<Node>();
  let found: EpilogueGroup | undefined;
  while (nodes.length < maxNodes) {
    for (const tensor of open) if (flow.uses(tensor).outputs + flow.uses(tensor).updates > 0) return found;
    const next = firstUser(open, flow, inside);
    if (!next || taken.has(next) || !followsInPlace(next, open, source, flow)) return found;
    nodes.push(next);
    inside.add(next);
    open.add(next.outputs[0]!);
    for (const tensor of open)
      if (tensor !== next.outputs[0] && flow.uses(tensor).nodes.every((n) => inside.has(n))) open.delete(tensor);
    if (open.size === 1) found = { source, root: next.outputs[0]!, nodes: [...nodes] };
  }
  return found;
}

function firstUser(open: ReadonlySet<Tensor>, flow: Dataflow, inside: ReadonlySet<Node>): Node | undefined {
  let first: Node | undefined;
  for (const tensor of open)
    for (const node of flow.uses(tensor).nodes)
      if (!inside.has(node) && (!first || flow.indexOf.get(node)! < flow.indexOf.get(first)!)) first = node;
  return first;
}

/** Whether an operation reads the open values only where it writes. */
function followsInPlace(node: Node, open: ReadonlySet<Tensor>, source: Tensor, flow: Dataflow): boolean {
  const lowering = node.op.lower!.webgpu!;
  if (kindOf(node) !== 'value' || !('expression' in lowering)) return false;
  const { shape } = node.outputs[0]!;
  if (!dimsEqual(sizeOf(shape), sizeOf(source.shape))) return false;
  return node.inputs.every((input) => !open.has(flow.base(input)) || shapesEqual(input.shape, shape));
}
