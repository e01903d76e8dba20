import type { Graph } from '../../../graph/graph.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { getOrMake } from '../get-or-make.ts';

/** How an operation's values come about, as far as fusion is concerned. */
export type NodeKind = 'alias' | 'value' | 'reduction' | 'kernels';

export function kindOf({ op }: Node): NodeKind {
  const lowering = op.lower!.webgpu!;
  if ('at' in lowering) return lowering.keepsOrder ? 'alias' : 'value';
  if ('expression' in lowering) return 'value';
  return 'reduce' in lowering ? 'reduction' : 'kernels';
}

/** Who takes a tensor: nodes of the graph, its outputs, its updates. */
export interface Uses {
  readonly nodes: Node[];
  outputs: number;
  updates: number;
}

/**
 * Who takes whose values. An alias (a reshape) is the same values as its input: both have one base, the tensor that is
 * computed or given, and uses count for the base.
 */
export class Dataflow {
  readonly graph: Graph;
  readonly indexOf: ReadonlyMap<Node, number>;
  readonly #bases = new Map<Tensor, Tensor>();
  readonly #uses = new Map<Tensor, Uses>();

  constructor(graph: Graph) {
    this.graph = graph;
    this.indexOf = new Map(graph.nodes.map((node, i) => [node, i]));
    for (const node of graph.nodes) {
      const alias = kindOf(node) === 'alias';
      if (alias) this.#bases.set(node.outputs[0]!, this.base(node.inputs[0]!));
      else for (const input of node.inputs) this.uses(input).nodes.push(node);
    }
    for (const output of graph.outputs) this.uses(output).outputs++;
    for (const { value, rows } of graph.updates) for (const t of rows ? [value, rows] : [value]) this.uses(t).updates++;
  }

  /** The tensor whose buffer has the values of `tensor`. */
  base(tensor: Tensor): Tensor {
    return this.#bases.get(tensor) ?? tensor;
  }

  /** The node that computes a base; undefined for leaves. */
  producer(base: Tensor): Node | undefined {
    return this.indexOf.has(base.node) ? base.node : undefined;
  }

  uses(tensor: Tensor): Uses {
    return getOrMake(this.#uses, this.base(tensor), (): Uses => ({ nodes: [], outputs: 0, updates: 0 }));
  }
}
