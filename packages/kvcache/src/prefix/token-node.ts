/** A full block of tokens in a tree, after those of its parent. */
export class TokenNode<N extends TokenNode<N>> {
  /** Undefined for a root, which stands for no tokens. */
  readonly parent: N | undefined;
  readonly tokens: Int32Array;
  readonly key: number;
  readonly depth: number;
  childCount = 0;
  /** Whether it is in the tree. */
  attached = false;
  /** Its child, where it has one only, as most have. */
  #only: N | undefined;
  /** Where it has had several: children by key; those of one key one after the other. */
  #children: Map<number, N> | undefined;
  #next: N | undefined;

  constructor(parent: N | undefined, tokens: Int32Array, key: number) {
    this.parent = parent;
    this.tokens = tokens;
    this.key = key;
    this.depth = parent ? parent.depth + 1 : 0;
  }

  /** The child of these tokens: `tokens` from `start` on, whose key they have. */
  child(key: number, tokens: ArrayLike<number>, start: number): N | undefined {
    let node = this.#children ? this.#children.get(key) : this.#only;
    while (node && !(node.key === key && sameTokens(node.tokens, tokens, start))) node = node.#next;
    return node;
  }

  attach(child: N): void {
    this.childCount++;
    child.attached = true;
    if (!this.#children && this.childCount === 1) {
      this.#only = child;
      return;
    }
    if (!this.#children) {
      this.#children = new Map([[this.#only!.key, this.#only!]]);
      this.#only = undefined;
    }
    child.#next = this.#children.get(child.key);
    this.#children.set(child.key, child);
  }
  detach(child: N): void {
    this.childCount--;
    child.attached = false;
    if (!this.#children) {
      this.#only = undefined;
      return;
    }
    let before = this.#children.get(child.key);
    if (before === child) {
      if (child.#next) this.#children.set(child.key, child.#next);
      else this.#children.delete(child.key);
    } else {
      while (before!.#next !== child) before = before!.#next;
      before!.#next = child.#next;
    }
    child.#next = undefined;
  }
  *children(): Iterable<N> {
    if (this.#only) yield this.#only;
    for (const first of this.#children?.values() ?? [])
      for (let node: N | undefined = first; node; node = node.#next) yield node;
  }
}

function sameTokens(own: Int32Array, tokens: ArrayLike<number>, start: number): boolean {
  for (let i = 0; i < own.length; i++) if (own[i] !== tokens[start + i]) return false;
  return true;
}

/** A number by which `count` tokens from `start` on are looked up; different ones rarely share it. */
export function keyOf(tokens: ArrayLike<number>, start: number, count: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < start + count; i++) {
    hash = Math.imul(hash ^ tokens[i]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash;
}
