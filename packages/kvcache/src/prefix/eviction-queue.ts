import type { BlockNode } from './block-node.ts';
import type { EvictionPolicy } from './eviction-policies.ts';

/** An offer of a block, void once the node was used again. */
interface Offer {
  readonly node: BlockNode;
  readonly stamp: number;
  readonly rank: readonly number[];
}

/** Blocks that may be evicted, the policy's first in front: a heap in which outdated offers are passed over. */
export class EvictionQueue {
  readonly #policy: EvictionPolicy;
  readonly #group: number;
  readonly #heap: Offer[] = [];

  constructor(policy: EvictionPolicy, group: number) {
    this.#policy = policy;
    this.#group = group;
  }

  /** Offers a node's block, as the node is now. */
  offer(node: BlockNode): void {
    const heap = this.#heap;
    const offer = { node, stamp: node.stamps[this.#group]!, rank: this.#policy.rank(node) };
    let at = heap.push(offer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(offer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = offer;
  }

  /** The first for which `accepts` holds and whose offer still counts. */
  take(accepts: (node: BlockNode) => boolean): BlockNode | undefined {
    for (let offer = this.#pop(); offer; offer = this.#pop())
      if (offer.stamp === offer.node.stamps[this.#group] && accepts(offer.node)) return offer.node;
    return undefined;
  }

  /** Forgets outdated offers once they are the most of it. */
  trim(live: number): void {
    if (this.#heap.length < 64 + 4 * live) return;
    const current = this.#heap.filter(({ node, stamp }) => node.stamps[this.#group] === stamp);
    this.#heap.length = 0;
    for (const { node } of current) this.offer(node);
  }

  #pop(): Offer | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Offer, b: Offer): boolean {
  for (let i = 0; i < a.rank.length; i++) {
    const difference = a.rank[i]! - b.rank[i]!;
    if (difference !== 0) return difference < 0;
  }
  return a.node.depth > b.node.depth; // of equals the end of a prompt before its beginning
}
