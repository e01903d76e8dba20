import { Heap } from '../scheduling/heap.ts';

/** An item that waits for its batch. */
export interface Waiting<I> {
  readonly item: I;
  /** Running number: unique. */
  readonly order: number;
  readonly arrival: number;
  /** Lower goes first: arrival minus what its priority is worth. */
  readonly rank: number;
  readonly cost: number;
  readonly key: string;
}

interface Group<W> {
  readonly key: string;
  readonly byRank: Heap<W>;
  readonly byArrival: Heap<W>;
  cost: number;
}

/** What makes a batch. */
export interface BatchLimits {
  readonly maxBatchSize: number;
  readonly maxBatchCost: number;
  readonly maxWaitMs: number;
}

/** Items by what can go together, and the rule that says when a batch is due. */
export class BatchQueue<I, W extends Waiting<I>> {
  readonly #limits: BatchLimits;
  readonly #groups: Map<string, Group<W>> = new Map();
  #size = 0;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  push(item: W): void {
    let group = this.#groups.get(item.key);
    if (!group) {
      group = {
        key: item.key,
        byRank: new Heap((a, b) => a.rank - b.rank || a.order - b.order),
        byArrival: new Heap((a, b) => a.order - b.order),
        cost: 0,
      };
      this.#groups.set(item.key, group);
    }
    group.byRank.push(item);
    group.byArrival.push(item);
    group.cost += item.cost;
    this.#size++;
  }

  remove(item: W): boolean {
    const group = this.#groups.get(item.key);
    if (!group?.byRank.remove(item)) return false;
    group.byArrival.remove(item);
    group.cost -= item.cost;
    this.#size--;
    if (group.byRank.size === 0) this.#groups.delete(item.key);
    return true;
  }

  /** Takes the next due batch, the one whose first item ranks first; with `flush` any batch is due. */
  take(now: number, flush: boolean): W[] | undefined {
    let next: Group<W> | undefined;
    for (const group of this.#groups.values()) {
      if (!flush && this.#dueAt(group) > now) continue;
      const [a, b] = [group.byRank.peek()!, next?.byRank.peek()];
      if (!b || a.rank < b.rank || (a.rank === b.rank && a.order < b.order)) next = group;
    }
    if (!next) return undefined;
    const batch: W[] = [];
    let cost = 0;
    for (;;) {
      const item = next.byRank.peek();
      if (!item || batch.length === this.#limits.maxBatchSize || cost + item.cost > this.#limits.maxBatchCost) break;
      this.remove(item);
      batch.push(item);
      cost += item.cost;
    }
    return batch;
  }

  /** When the next batch is due if nothing else comes. */
  dueAt(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const group of this.#groups.values()) due = Math.min(due, this.#dueAt(group));
    return due;
  }

  #dueAt({ byRank, byArrival, cost }: Group<W>): number {
    const full = byRank.size >= this.#limits.maxBatchSize || cost >= this.#limits.maxBatchCost;
    return full ? Number.NEGATIVE_INFINITY : byArrival.peek()!.arrival + this.#limits.maxWaitMs;
  }
}
