import type { Group } from '../blocks/group.ts';
import { CacheIntegrityError } from '../errors.ts';
import { BlockNode } from './block-node.ts';
import type { EvictionPolicy } from './eviction-policies.ts';
import { EvictionQueue } from './eviction-queue.ts';
import { keyOf } from './token-node.ts';

/** Is told of a block before it is given back, which nobody writes to until the call that forgets it has ended. */
export type Forget = (node: BlockNode, group: number, block: number) => void;

/**
 * Full blocks of tokens that were computed, by what stood before them: a tree for each namespace. It holds every block that it
 * lists once. Groups that keep everything lose blocks from the ends of prompts only; windows and states lose any that no
 * sequence holds.
 */
export class BlockTree {
  readonly #groups: readonly Group[];
  readonly #blockSize: number;
  readonly #roots: Map<string, BlockNode> = new Map();
  readonly #queues: readonly EvictionQueue[];
  /** By group and block: the node that lists it. */
  readonly #nodes: readonly (BlockNode | undefined)[][];
  /** By group: blocks that nobody but the tree holds. */
  readonly #cached: Int32Array;
  #now = 0;
  evictions = 0;
  /** Is told what is evicted. */
  onEvict: Forget | undefined;

  constructor(groups: readonly Group[], blockSize: number, policy: EvictionPolicy) {
    this.#groups = groups;
    this.#blockSize = blockSize;
    this.#queues = groups.map((_, group) => new EvictionQueue(policy, group));
    // at their full length: an array that grows is copied in the middle of a step
    this.#nodes = groups.map(({ pool }) => new Array<BlockNode | undefined>(pool.blocks).fill(undefined));
    this.#cached = new Int32Array(groups.length);
  }

  /** Blocks of a group that nobody but the tree holds: all of them can be had. */
  cached(group: number): number {
    return this.#cached[group]!;
  }
  /** The next time, for what is used now. */
  tick(): number {
    return ++this.#now;
  }

  root(namespace: string): BlockNode {
    let root = this.#roots.get(namespace);
    if (!root) {
      root = new BlockNode(undefined, new Int32Array(0), 0, this.#groups.length, this.#now, { namespace });
      root.attached = true;
      this.#roots.set(namespace, root);
    }
    return root;
  }

  /** Nodes of the first blocks of tokens, as many as are there, at most `limit`. */
  path(namespace: string, tokens: ArrayLike<number>, limit: number): BlockNode[] {
    const path: BlockNode[] = [];
    let node = this.#roots.get(namespace);
    while (node && path.length < limit) {
      const start = path.length * this.#blockSize;
      node = node.child(keyOf(tokens, start, this.#blockSize), tokens, start);
      if (node) path.push(node);
    }
    return path;
  }

  /**
   * Lists what a sequence computed for a full block of tokens after `parent`, by group (-1: nothing). Where the tokens are listed
   * already the earlier blocks stay, and only what they lack is added; what is exact takes the place of what is not. A new node keeps
   * `tokens`.
   */
  publish(
    parent: BlockNode,
    tokens: Int32Array,
    blockOf: (group: number) => number,
    priority: number,
    exact: boolean = true,
  ): BlockNode {
    const key = keyOf(tokens, 0, tokens.length);
    let node = parent.child(key, tokens, 0);
    if (!node) {
      node = new BlockNode(parent, tokens, key, this.#groups.length, this.tick(), { exact });
      parent.attach(node);
    } else if (exact && !node.exact) {
      for (let group = 0; group < this.#groups.length; group++) this.#drop(node, group);
      node.exact = true;
    }
    node.priority = Math.max(node.priority, priority);
    for (let group = 0; group < this.#groups.length; group++) {
      const block = blockOf(group);
      if (node.blocks[group]! >= 0 || block < 0) continue;
      node.blocks[group] = block;
      this.#groups[group]!.pool.retain(block);
      this.#nodes[group]![block] = node;
    }
    return node;
  }

  /** Notes that a prompt begins with these nodes. */
  hit(path: readonly BlockNode[], priority: number): void {
    const now = this.tick();
    for (const node of path) {
      node.hits++;
      node.lastUsed = now;
      node.priority = Math.max(node.priority, priority);
    }
  }

  /** Holds a block for a sequence. */
  retain(group: number, block: number): void {
    const { pool } = this.#groups[group]!;
    if (pool.references(block) === 1 && this.#nodes[group]![block]) this.#cached[group]!--;
    pool.retain(block);
  }
  /** Takes back what a sequence held. */
  release(group: number, block: number): void {
    const left = this.#groups[group]!.pool.release(block);
    const node = left === 1 ? this.#nodes[group]![block] : undefined;
    if (!node) return;
    this.#cached[group]!++;
    node.lastUsed = Math.max(node.lastUsed, this.#now);
    this.#offer(node, group);
  }

  /** Forgets one cached block of a group, the policy's first. @returns whether there was one */
  evict(group: number): boolean {
    const { pool, kind } = this.#groups[group]!;
    const node = this.#queues[group]!.take(
      ({ attached, blocks, childCount }) =>
        attached &&
        blocks[group]! >= 0 &&
        pool.references(blocks[group]!) === 1 &&
        (kind !== 'all' || childCount === 0),
    );
    if (!node) return false;
    this.evictions++;
    if (this.onEvict)
      for (const [other, block] of node.blocks.entries())
        if (block >= 0 && (kind === 'all' || other === group)) this.onEvict(node, other, block);
    if (kind === 'all') this.#remove(node);
    else this.#drop(node, group);
    this.#prune(node);
    return true;
  }

  /** Forgets a block that one sequence holds, with all that came after it, so that the sequence may write to it. */
  disown(group: number, block: number): void {
    const node = this.#nodes[group]![block];
    if (node) this.lose(node);
  }
  /** Forgets a node with all that came after it. */
  lose(node: BlockNode): void {
    if (!node.attached) return;
    const subtree = [node];
    for (const one of subtree) subtree.push(...one.children());
    for (const one of subtree.reverse()) this.#remove(one);
    this.#prune(node);
  }
  /** All nodes but the roots, those of a namespace from the front on. */
  nodes(): BlockNode[] {
    const nodes = [...this.#roots.values()];
    for (const node of nodes) nodes.push(...node.children());
    return nodes.filter(({ parent }) => parent);
  }

  /** Forgets what is listed of a block that nobody but the tree holds, and that no prompt has found. */
  forget(group: number, block: number): void {
    const node = this.#nodes[group]![block];
    if (node && node.hits === 0 && this.#groups[group]!.pool.references(block) === 1) this.#drop(node, group);
  }

  /** Drops the end of a path of which nothing is there any more. */
  prune(node: BlockNode): void {
    if (node.attached && node.childCount === 0) this.#prune(node);
  }

  /** Gives up all blocks. */
  clear(): void {
    for (const root of this.#roots.values()) {
      const nodes = [...root.children()];
      for (const node of nodes) nodes.push(...node.children());
      for (const node of nodes.reverse()) this.#remove(node);
    }
    this.#roots.clear();
  }

  /** Adds what the tree holds to `holders` by group and block. @throws CacheIntegrityError */
  check(holders: readonly Int32Array[]): void {
    const found = this.#groups.map(() => 0);
    for (const [namespace, root] of this.#roots) {
      const nodes = [...root.children()];
      for (const node of nodes) {
        const children = [...node.children()];
        nodes.push(...children);
        if (!node.attached || children.length !== node.childCount || node.tokens.length !== this.#blockSize)
          throw new CacheIntegrityError(`cache: a node of namespace '${namespace}' at depth ${node.depth} is damaged`);
        for (const [group, { kind, pool }] of this.#groups.entries()) {
          const block = node.blocks[group]!;
          if (block < 0 && kind === 'all')
            throw new CacheIntegrityError(`cache: a node at depth ${node.depth} has no block in group ${group}`);
          if (block < 0) continue;
          if (this.#nodes[group]![block] !== node)
            throw new CacheIntegrityError(`cache: block ${block} of group ${group} is listed twice, or elsewhere`);
          holders[group]![block]!++;
          if (pool.references(block) === 1) found[group]!++;
        }
      }
    }
    for (const [group, count] of found.entries())
      if (count !== this.#cached[group])
        throw new CacheIntegrityError(
          `cache: ${count} blocks of group ${group} are cached, ${this.#cached[group]} counted`,
        );
  }

  #offer(node: BlockNode, group: number): void {
    node.stamps[group]!++;
    const queue = this.#queues[group]!;
    if (this.#groups[group]!.kind !== 'all' || node.childCount === 0) queue.offer(node);
    queue.trim(this.#groups[group]!.pool.blocks);
  }

  /** Gives up a node's block of a group. */
  #drop(node: BlockNode, group: number): void {
    const block = node.blocks[group]!;
    if (block < 0) return;
    const { pool } = this.#groups[group]!;
    if (pool.references(block) === 1) this.#cached[group]!--;
    node.blocks[group] = -1;
    node.stamps[group]!++;
    this.#nodes[group]![block] = undefined;
    pool.release(block);
  }

  #remove(node: BlockNode): void {
    for (let group = 0; group < this.#groups.length; group++) this.#drop(node, group);
    if (node.attached) node.parent!.detach(node);
  }

  /** After a change of `node`: drops what stands for nothing any more, and offers the ends of prompts. */
  #prune(node: BlockNode): void {
    let at = node.attached ? node : node.parent!;
    while (at.parent && at.childCount === 0 && at.blocks.every((block) => block < 0)) {
      const { parent } = at;
      if (at.attached) parent.detach(at);
      at = parent;
    }
    if (at.childCount > 0) return;
    if (!at.parent) {
      for (const [namespace, root] of this.#roots)
        if (root === at) {
          root.attached = false;
          this.#roots.delete(namespace);
        }
      return;
    }
    for (const [group, { kind, pool }] of this.#groups.entries())
      if (kind === 'all' && at.blocks[group]! >= 0 && pool.references(at.blocks[group]!) === 1) this.#offer(at, group);
  }
}
