import { largestOf } from '../dim.ts';
import { byteSize } from '../dtype.ts';
import type { Node } from './op.ts';
import type { Tensor } from './tensor.ts';

/**
 * Orders the nodes of a graph for memory: in the given order (each after its inputs), except that a node which frees more than
 * it takes runs as soon as it can. Gradients with respect to weights thus come when their layer's do, and let go of what they were computed
 * from, although nothing needs them before the end.
 *
 * @param kept tensors that outlive the run: outputs, and values of updates
 */
export function scheduleNodes(nodes: readonly Node[], kept: Iterable<Tensor>): Node[] {
  const schedule = new Schedule(nodes, new Set(kept));
  for (const node of nodes) schedule.run(node);
  return schedule.order;
}

class Schedule {
  readonly order: Node[] = [];
  readonly #kept: ReadonlySet<Tensor>;
  /** Nodes that have yet to read a tensor that this graph computes. */
  readonly #readers = new Map<Tensor, Set<Node>>();
  /** Inputs that have yet to be computed. */
  readonly #missing = new Map<Node, Set<Tensor>>();
  readonly #done = new Set<Node>();

  constructor(nodes: readonly Node[], kept: ReadonlySet<Tensor>) {
    this.#kept = kept;
    for (const node of nodes) {
      this.#missing.set(node, new Set(node.inputs.filter((input) => this.#readers.has(input))));
      for (const input of node.inputs) this.#readers.get(input)?.add(node);
      for (const output of node.outputs) this.#readers.set(output, new Set());
    }
  }

  run(first: Node): void {
    const due = [first];
    while (due.length > 0) {
      const node = due.pop()!;
      if (this.#done.has(node)) continue;
      this.#done.add(node);
      this.order.push(node);
      due.push(...this.#settle(node).filter((other) => this.#frees(other)));
    }
  }

  /** Notes that a node ran; gives those that can run and for which it changed what they free. */
  #settle(node: Node): Node[] {
    const affected = new Set<Node>();
    for (const output of node.outputs)
      for (const reader of this.#readers.get(output)!) {
        this.#missing.get(reader)!.delete(output);
        affected.add(reader);
      }
    for (const input of node.inputs) {
      const readers = this.#readers.get(input);
      readers?.delete(node);
      if (readers?.size === 1) for (const last of readers) affected.add(last);
    }
    return [...affected].filter((other) => this.#missing.get(other)!.size === 0);
  }

  /** Whether a node that can run frees more than it takes. */
  #frees(node: Node): boolean {
    let freed = 0;
    for (const input of new Set(node.inputs)) {
      const readers = this.#readers.get(input);
      if (readers && !this.#kept.has(input) && readers.size === 1 && readers.has(node)) freed += bytesOf(input);
    }
    return freed > 0 && freed > node.outputs.reduce((sum, output) => sum + bytesOf(output), 0);
  }
}

/** At most; symbolic dimensions at their bounds. */
function bytesOf({ shape, dtype }: Tensor): number {
  return shape.reduce<number>((bytes, dim) => bytes * Math.max(0, largestOf(dim)), byteSize[dtype]);
}
