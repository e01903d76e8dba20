import type { CachedBlock } from './eviction-policies.ts';

/** A full block of tokens after those of its parent, and where each group of the cache has what was computed for it. */
export class BlockNode implements CachedBlock {
  /** Undefined for a root, which stands for no tokens. */
  readonly parent: BlockNode | undefined;
  readonly tokens: Int32Array;
  readonly key: number;
  readonly depth: number;
  /** Block of each group; -1 where it has none any more. */
  readonly blocks: Int32Array;
  created: number;
  lastUsed: number;
  hits = 0;
  priority: number;
  /** By group: changes whenever earlier offers of its block to be evicted are void. */
  readonly stamps: Int32Array;
  childCount = 0;
  /** Whether it is in the tree. */
  attached = false;
  /** Children by key; those of one key one after the other. */
  #children: Map<number, BlockNode> | undefined;
  #next: BlockNode | undefined;

  constructor(parent: BlockNode | undefined, tokens: Int32Array, key: number, groups: number, now: number) {
    this.parent = parent;
    this.tokens = tokens;
    this.key = key;
    this.depth = parent ? parent.depth + 1 : 0;
    this.blocks = new Int32Array(groups).fill(-1);
    this.stamps = new Int32Array(groups);
    this.created = now;
    this.lastUsed = now;
    this.priority = Number.NEGATIVE_INFINITY;
  }

  /** The child of these tokens: `tokens` from `start` on, whose key they have. */
  child(key: number, tokens: ArrayLike<number>, start: number): BlockNode | undefined {
    let node = this.#children?.get(key);
    while (node && !sameTokens(node.tokens, tokens, start)) node = node.#next;
    return node;
  }

  attach(child: BlockNode): void {
    this.#children ??= new Map();
    child.#next = this.#children.get(child.key);
    this.#children.set(child.key, child);
    this.childCount++;
    child.attached = true;
  }
  detach(child: BlockNode): void {
    let before = this.#children!.get(child.key);
    if (before === child) {
      if (child.#next) this.#children!.set(child.key, child.#next);
      else this.#children!.delete(child.key);
    } else {
      while (before!.#next !== child) before = before!.#next;
      before!.#next = child.#next;
    }
    child.#next = undefined;
    child.attached = false;
    this.childCount--;
  }
  *children(): Iterable<BlockNode> {
    for (const first of this.#children?.values() ?? [])
      for (let node: BlockNode | undefined = first; node; node = node.#next) yield node;
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
