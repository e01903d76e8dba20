import type { Graph } from '../../../graph/graph.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { type BufferOf, computing } from '../codegen/kernel-builder.ts';
import type { BufferValue } from '../values.ts';
import { kindOf } from './dataflow.ts';
import type { EpilogueGroup } from './epilogue-groups.ts';
import type { Fusion } from './fusion.ts';
import type { UpdateContext } from './update-groups.ts';
import { planUpdates } from './updates.ts';

/** What becomes one kernel, or the kernels of one operation. */
export type Unit =
  | {
      readonly kind: 'pointwise';
      readonly roots: readonly { readonly tensor: Tensor; readonly target: BufferValue }[];
      readonly bufferOf: BufferOf;
    }
  | { readonly kind: 'reduction' | 'kernels'; readonly node: Node; readonly group: EpilogueGroup | undefined }
  | {
      readonly kind: 'scatter';
      readonly value: Tensor;
      readonly rows: Tensor;
      readonly target: BufferValue;
      readonly bufferOf: BufferOf;
    };

/** A graph as units in the order in which they run, with the buffers of their values. */
export class KernelSchedule {
  readonly graph: Graph;
  readonly units: readonly Unit[];
  /** What changes variables: after whatever it depends on, otherwise anywhere. */
  readonly updates: readonly Unit[];
  readonly #fusion: Fusion;
  readonly #values = new Map<Tensor, BufferValue>();

  constructor(graph: Graph, fusion: Fusion, limits: Pick<UpdateContext, 'capabilities' | 'bound'>) {
    this.graph = graph;
    this.#fusion = fusion;
    for (const [index, tensor] of graph.inputs.entries())
      this.#values.set(tensor, { kind: 'input', index, type: tensor });
    for (const tensor of graph.constants) this.#values.set(tensor, { kind: 'constant', tensor, type: tensor });
    for (const tensor of graph.variables) this.#values.set(tensor, { kind: 'variable', tensor, type: tensor });
    const copies = this.#placeOutputs();
    // first, because it decides about values that have to be stored with the others
    const updates = planUpdates({ graph, fusion, bufferOf: this.bufferOf, ...limits });
    this.units = [...this.#main(), ...copies, ...updates.before];
    this.updates = updates.units;
  }

  /** The buffer that has `tensor`; undefined where it is computed inside of kernels. */
  readonly bufferOf = (tensor: Tensor): BufferValue | undefined => {
    const base = this.#fusion.flow.base(tensor);
    const known = this.#values.get(base);
    if (known || !this.#fusion.stored.has(base)) return known;
    const value: BufferValue = { kind: 'temporary', name: base.node.op.name, type: base };
    this.#values.set(base, value);
    return value;
  };

  /** What a stored value is computed from by elementwise operations in the same kernel: the result of an operation's own kernels. */
  sourceOf(tensor: Tensor): Tensor | undefined {
    const base = this.#fusion.flow.base(tensor);
    if (!this.#fusion.stored.has(base)) return undefined;
    if (kindOf(base.node) === 'kernels') return base;
    for (const { root, source } of this.#fusion.epilogueGroups.values())
      if (root === base && kindOf(source.node) === 'kernels') return source;
    return undefined;
  }

  /** Computed outputs are computed into the output's buffer; leaves, and what comes out twice, are copied. */
  #placeOutputs(): Unit[] {
    const copies: Unit[] = [];
    this.graph.outputs.forEach((tensor, index) => {
      const base = this.#fusion.flow.base(tensor);
      const target: BufferValue = { kind: 'output', index, type: tensor };
      if (this.#values.has(base))
        copies.push({ kind: 'pointwise', roots: [{ tensor, target }], bufferOf: this.bufferOf });
      else this.#values.set(base, target);
    });
    return copies;
  }

  #main(): Unit[] {
    const { flow, stored, epilogueGroups } = this.#fusion;
    const roots = new Map<Node, EpilogueGroup>();
    for (const group of epilogueGroups.values()) roots.set(group.root.node, group);
    return this.graph.nodes.flatMap((node): Unit[] => {
      const group = roots.get(node);
      if (group)
        return [{ kind: kindOf(group.source.node) as 'reduction' | 'kernels', node: group.source.node, group }];
      const kind = kindOf(node);
      if (kind === 'alias' || epilogueGroups.has(node)) return [];
      if (kind !== 'value') return [{ kind, node, group: undefined }];
      const tensor = flow.base(node.outputs[0]!);
      if (!stored.has(tensor)) return [];
      const root = { tensor, target: this.bufferOf(tensor)! };
      return [{ kind: 'pointwise', roots: [root], bufferOf: computing(tensor, this.bufferOf) }];
    });
  }
}
