import { type Dim, dimsEqual } from '../../../dim.ts';
import type { Graph } from '../../../graph/graph.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { sizeOf } from '../../../shape.ts';
import { Dataflow, kindOf } from './dataflow.ts';
import { type EpilogueGroup, epilogueGroupOf } from './epilogue-groups.ts';

export interface FusionOptions {
  /** Whether operations share kernels at all. */
  readonly fuse: boolean;
  /** Storage buffers that one kernel may bind. */
  readonly maxStorageBuffers: number;
  /** How many of them a tensor takes: more than one where it is larger than a binding may be. */
  bindingsOf(tensor: Tensor): number;
}

/** Operations of one kernel: no more, so that texts stay readable and registers suffice. */
const maxCost = 48;
/** A value that costs more than this is not computed again for every value of something larger. */
const maxRepeatedCost = 6;

/**
 * Which values get buffers. Everything else is computed inside of the kernels that use it.
 *
 * Stored are results of reductions and of operations with kernels of their own (unless an epilogue goes on computing with
 * them), what those kernels read, outputs, and what would be costly to compute again for each of its uses.
 */
export class Fusion {
  readonly flow: Dataflow;
  /** Bases that get buffers, computed by kernels of this graph. */
  readonly stored: Set<Tensor> = new Set();
  /** By the node of their source. */
  readonly epilogueGroups: Map<Node, EpilogueGroup> = new Map();
  readonly #inner = new Set<Node>();
  readonly #costs = new Map<Tensor, number>();
  readonly #leaves = new Map<Tensor, ReadonlySet<Tensor>>();
  readonly #options: FusionOptions;
  /** Operations that nothing but updates need: their values go straight into variables. */
  readonly #forUpdates = new Set<Node>();

  constructor(graph: Graph, options: FusionOptions) {
    this.flow = new Dataflow(graph);
    this.#options = options;
    if (options.fuse) {
      this.#findEpilogueGroups();
      this.#findForUpdates();
    }
    // first, because each is one more buffer for whoever reads it along with what it is computed from
    for (const tensor of graph.outputs) this.store(tensor);
    for (const { rows } of graph.updates) if (rows) this.store(rows);
    for (const node of graph.nodes) this.#decide(node);
    this.#dropBrokenGroups();
  }

  /** Gives a value a buffer, unless it is a leaf, which has one. */
  store(tensor: Tensor): void {
    const base = this.flow.base(tensor);
    if (this.flow.producer(base)) this.stored.add(base);
  }

  /** Whether a value is only needed by updates and has no buffer of its own. */
  isForUpdates(tensor: Tensor): boolean {
    const base = this.flow.base(tensor);
    return this.#forUpdates.has(base.node) && !this.stored.has(base);
  }

  /** Whether a value lies in a buffer: a leaf, or stored. */
  hasBuffer(tensor: Tensor): boolean {
    const base = this.flow.base(tensor);
    return !this.flow.producer(base) || this.stored.has(base);
  }

  /** Bases with buffers that the computation of a value reads. */
  leavesOf(tensor: Tensor): ReadonlySet<Tensor> {
    const base = this.flow.base(tensor);
    if (this.hasBuffer(base) || this.#isSource(base)) return new Set([base]);
    return this.#leaves.get(base)!;
  }

  #isSource(base: Tensor): boolean {
    return this.epilogueGroups.get(base.node)?.source === base;
  }

  #findEpilogueGroups(): void {
    const { flow } = this;
    // the last of several sources that meet in one operation goes on computing: the others are ready by then
    for (const node of [...flow.graph.nodes].reverse()) {
      if (kindOf(node) !== 'reduction' && !(kindOf(node) === 'kernels' && node.outputs.length === 1)) continue;
      const group = epilogueGroupOf(node.outputs[0]!, flow, this.#inner);
      if (!group) continue;
      this.epilogueGroups.set(node, group);
      for (const inner of group.nodes) this.#inner.add(inner);
    }
  }

  /** A group of which an inside value had to be stored after all is computed apart from its source. */
  #dropBrokenGroups(): void {
    for (const [node, { source, root, nodes }] of this.epilogueGroups)
      if (nodes.some(({ outputs: [output] }) => output !== root && this.stored.has(output!))) {
        this.epilogueGroups.delete(node);
        this.store(source);
      }
  }

  #findForUpdates(): void {
    const { flow } = this;
    for (const node of [...flow.graph.nodes].reverse()) {
      if (kindOf(node) !== 'value' || this.#inner.has(node)) continue;
      const { nodes, outputs, updates } = flow.uses(node.outputs[0]!);
      if (outputs === 0 && nodes.length + updates > 0 && nodes.every((user) => this.#forUpdates.has(user)))
        this.#forUpdates.add(node);
    }
  }

  #decide(node: Node): void {
    const kind = kindOf(node);
    if (kind === 'alias') return;
    if (kind === 'kernels') {
      for (const input of node.inputs) this.store(input);
      for (const output of node.outputs) if (!this.#isSource(output)) this.store(output);
      return;
    }
    this.#fit(node);
    if (kind === 'reduction') {
      if (this.#isSource(node.outputs[0]!)) this.#leaves.set(node.outputs[0]!, new Set());
      else this.store(node.outputs[0]!);
      return;
    }
    const output = node.outputs[0]!;
    const cost = this.#ownCost(node) + node.inputs.reduce((sum, input) => sum + this.#costOf(input), 0);
    this.#costs.set(output, cost);
    this.#leaves.set(output, new Set(node.inputs.flatMap((input) => [...this.leavesOf(input)])));
    if (this.#isRoot(node) || (!this.#inner.has(node) && this.#isWorthStoring(node, cost))) this.store(output);
  }

  #isRoot(node: Node): boolean {
    if (!this.#inner.has(node)) return false;
    for (const { root } of this.epilogueGroups.values()) if (root === node.outputs[0]) return true;
    return false;
  }

  /** Stores inputs until what the operation reads can be bound, and those that would be computed again and again. */
  #fit(node: Node): void {
    const larger = node.outputs[0] && kindOf(node) === 'value' ? sizeOf(node.outputs[0].shape) : undefined;
    for (const input of node.inputs)
      if (larger !== undefined && this.#costOf(input) > maxRepeatedCost && !dimsEqual(sizeOf(input.shape), larger))
        this.#storeUnlessInner(input);
    const { maxStorageBuffers, bindingsOf } = this.#options;
    const limit = maxStorageBuffers - bindingsOf(node.outputs[0]!);
    const weight = (leaves: Iterable<Tensor>) => [...leaves].reduce((sum, leaf) => sum + bindingsOf(leaf), 0);
    const gain = (input: Tensor) => weight(this.leavesOf(input)) - bindingsOf(input);
    for (;;) {
      const total = new Set(node.inputs.flatMap((input) => [...this.leavesOf(input)]));
      if (weight(total) <= limit) return;
      const open = node.inputs.filter((input) => !this.hasBuffer(input) && gain(input) > 0);
      if (open.length === 0) return;
      this.store(open.reduce((a, b) => (gain(b) > gain(a) ? b : a)));
    }
  }

  #storeUnlessInner(tensor: Tensor): void {
    if (!this.#inner.has(this.flow.base(tensor).node)) this.store(tensor);
  }

  #costOf(tensor: Tensor): number {
    const base = this.flow.base(tensor);
    return this.hasBuffer(base) ? 0 : (this.#costs.get(base) ?? 0);
  }

  /** Movement and constants cost nothing where they are inlined. */
  #ownCost({ op, inputs }: Node): number {
    return 'at' in op.lower!.webgpu! && inputs.length < 2 ? 0 : 1;
  }

  #isWorthStoring(node: Node, cost: number): boolean {
    if (!this.#options.fuse) return true;
    const output = node.outputs[0]!;
    if (cost > maxCost) return true;
    if (this.#forUpdates.has(node)) return false;
    const uses = this.flow.uses(output);
    const users = uses.nodes.length + uses.outputs + uses.updates;
    if (users < 2 || cost === 0) return false;
    const size = sizeOf(output.shape);
    const large = [...this.leavesOf(output)].filter((leaf) => sameSize(leaf, size)).length;
    // values moved if each user computes it, against values moved if it is written once and read by each
    return users * large + (users - 1) * Math.max(0, cost - 2) > large + 1 + users;
  }
}

const sameSize = (tensor: Tensor, size: Dim) => dimsEqual(sizeOf(tensor.shape), size);
