interface Node<T> {
  readonly item: T;
  index: number;
}

/** A binary heap from which any item can be removed: push, pop and remove are O(log n). */
export class Heap<T> {
  readonly #compare: (a: T, b: T) => number;
  readonly #heap: Node<T>[] = [];
  readonly #nodes: Map<T, Node<T>> = new Map();

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#heap.length;
  }

  push(item: T): void {
    const node = { item, index: this.#heap.length };
    this.#nodes.set(item, node);
    this.#heap.push(node);
    this.#up(node);
  }

  peek(): T | undefined {
    return this.#heap[0]?.item;
  }

  pop(): T | undefined {
    const top = this.#heap[0];
    if (!top) return undefined;
    this.remove(top.item);
    return top.item;
  }

  remove(item: T): boolean {
    const node = this.#nodes.get(item);
    if (!node) return false;
    this.#nodes.delete(item);
    const last = this.#heap.pop()!;
    if (last === node) return true;
    this.#place(last, node.index);
    this.#up(last);
    this.#down(last);
    return true;
  }

  #place(node: Node<T>, index: number): void {
    node.index = index;
    this.#heap[index] = node;
  }

  #up(node: Node<T>): void {
    while (node.index > 0) {
      const parent = this.#heap[(node.index - 1) >> 1]!;
      if (this.#compare(parent.item, node.item) <= 0) return;
      this.#swap(parent, node);
    }
  }

  #down(node: Node<T>): void {
    for (;;) {
      const left = this.#heap[2 * node.index + 1];
      if (!left) return;
      const right = this.#heap[2 * node.index + 2];
      const child = right && this.#compare(right.item, left.item) < 0 ? right : left;
      if (this.#compare(node.item, child.item) <= 0) return;
      this.#swap(node, child);
    }
  }

  #swap(a: Node<T>, b: Node<T>): void {
    const { index } = a;
    this.#place(a, b.index);
    this.#place(b, index);
  }
}
