import { CacheIntegrityError } from '../errors.ts';
import type { BlockNode } from '../prefix/block-node.ts';
import { keyOf } from '../prefix/token-node.ts';
import { type DemotedBlock, DemotedNode } from './demoted-node.ts';

/**
 * What was demoted, by the tokens that it was computed from, in the order of use for each part and group: what is in front was
 * used longest ago.
 */
export class DemotedTree {
  readonly #groups: number;
  readonly #blockSize: number;
  readonly #roots: Map<string, DemotedNode> = new Map();
  readonly #order: Readonly<Record<'warm' | 'cold', readonly Set<DemotedBlock>[]>>;

  constructor(groups: number, blockSize: number) {
    this.#groups = groups;
    this.#blockSize = blockSize;
    const sets = () => Array.from({ length: groups }, () => new Set<DemotedBlock>());
    this.#order = { warm: sets(), cold: sets() };
  }

  /** Nodes of the first blocks of tokens, as many as are there, at most `limit`. */
  path(namespace: string, tokens: ArrayLike<number>, limit: number): DemotedNode[] {
    const path: DemotedNode[] = [];
    let node = this.#roots.get(namespace);
    while (node && path.length < limit) {
      const start = path.length * this.#blockSize;
      node = node.child(keyOf(tokens, start, this.#blockSize), tokens, start);
      if (node) path.push(node);
    }
    return path;
  }

  /** Nodes of the first `count` blocks of tokens: those that are there, and others that are not put in, to be asked for. */
  whole(namespace: string, tokens: ArrayLike<number>, count: number): DemotedNode[] {
    const path = this.path(namespace, tokens, count);
    let node = path.at(-1) ?? this.#roots.get(namespace);
    node ??= new DemotedNode(undefined, new Int32Array(0), 0, this.#groups, namespace);
    while (path.length < count) {
      const start = path.length * this.#blockSize;
      const own = Int32Array.from({ length: this.#blockSize }, (_, i) => tokens[start + i]!);
      node = new DemotedNode(node, own, keyOf(own, 0, own.length), this.#groups, namespace);
      path.push(node);
    }
    return path;
  }

  /** The node of the same tokens as one of the cache's own tree. */
  at(node: BlockNode): DemotedNode {
    const path: BlockNode[] = [];
    for (let up: BlockNode | undefined = node; up && !up.demoted?.attached; up = up.parent) path.push(up);
    for (const one of path.reverse())
      one.demoted = one.parent ? this.#child(one.parent.demoted!, one.tokens) : this.#root(one.namespace);
    return node.demoted!;
  }

  /** The node in the tree of the same tokens as one that need not be. */
  same(node: DemotedNode): DemotedNode | undefined {
    return this.#same(
      node,
      (parent, { key, tokens }) => parent.child(key, tokens, 0),
      (namespace) => this.#roots.get(namespace),
    );
  }
  /** The same, made where it is not there. */
  made(node: DemotedNode): DemotedNode {
    return this.#same(
      node,
      (parent, { tokens }) => this.#child(parent, tokens),
      (namespace) => this.#root(namespace),
    )!;
  }
  #same(
    node: DemotedNode,
    child: (parent: DemotedNode, node: DemotedNode) => DemotedNode | undefined,
    root: (namespace: string) => DemotedNode | undefined,
  ): DemotedNode | undefined {
    const path: DemotedNode[] = [];
    let at: DemotedNode = node;
    while (!at.attached && at.parent) {
      path.push(at);
      at = at.parent;
    }
    let found = at.attached ? at : root(at.namespace);
    for (const one of path.reverse()) found = found && child(found, one);
    return found;
  }

  /** Puts a block in, in place of what its node had of the group. */
  put(block: DemotedBlock): void {
    const { node, group, place } = block;
    const before = node.blocks[group];
    if (before) this.#order[before.place][group]!.delete(before);
    node.blocks[group] = block;
    this.#order[place][group]!.add(block);
  }
  /** The last to be evicted from now on. */
  touch(block: DemotedBlock): void {
    const order = this.#order[block.place][block.group]!;
    if (order.delete(block)) order.add(block);
  }
  /** Moves a block from the warm to the cold part. */
  move(block: DemotedBlock): void {
    this.#order.warm[block.group]!.delete(block);
    block.place = 'cold';
    block.warmBlock = -1;
    this.#order.cold[block.group]!.add(block);
  }
  remove(block: DemotedBlock): void {
    const { node, group, place } = block;
    this.#order[place][group]!.delete(block);
    if (node.blocks[group] === block) node.blocks[group] = undefined;
    this.prune(node);
  }
  /** Drops the end of a path that nothing was put into. */
  prune(node: DemotedNode): void {
    let at: DemotedNode = node;
    while (at.attached && at.childCount === 0 && at.blocks.every((block) => !block)) {
      const { parent } = at;
      if (!parent) {
        at.attached = false;
        this.#roots.delete(at.namespace);
        return;
      }
      parent.detach(at);
      at = parent;
    }
  }

  count(place: 'warm' | 'cold', group: number): number {
    return this.#order[place][group]!.size;
  }
  /** Blocks of a part and group, those that were used longest ago first. */
  blocks(place: 'warm' | 'cold', group: number): Iterable<DemotedBlock> {
    return this.#order[place][group]!;
  }
  /** The block of a part and group that was used longest ago and that nobody is about to use. */
  oldest(place: 'warm' | 'cold', group: number): DemotedBlock | undefined {
    for (const block of this.#order[place][group]!) if (block.leases === 0) return block;
    return undefined;
  }
  get leases(): number {
    let sum = 0;
    for (const sets of Object.values(this.#order)) for (const set of sets) for (const { leases } of set) sum += leases;
    return sum;
  }

  clear(): void {
    this.#roots.clear();
    for (const sets of Object.values(this.#order)) for (const set of sets) set.clear();
  }

  /** @throws CacheIntegrityError where tree and order do not hold the same blocks */
  check(): void {
    let found = 0;
    const nodes = [...this.#roots.values()];
    for (const node of nodes) {
      nodes.push(...node.children());
      if (!node.attached || (node.childCount === 0 && node.blocks.every((block) => !block)))
        throw new CacheIntegrityError(`cache: a demoted node at depth ${node.depth} stands for nothing`);
      for (const block of node.blocks) {
        if (!block) continue;
        found++;
        if (block.node !== node || !this.#order[block.place][block.group]!.has(block))
          throw new CacheIntegrityError(`cache: a demoted block at depth ${node.depth} is listed elsewhere`);
      }
    }
    const listed = [...this.#order.warm, ...this.#order.cold].reduce((sum, { size }) => sum + size, 0);
    if (listed !== found) throw new CacheIntegrityError(`cache: ${found} blocks are demoted, ${listed} listed`);
  }

  #root(namespace: string): DemotedNode {
    let root = this.#roots.get(namespace);
    if (!root) {
      root = new DemotedNode(undefined, new Int32Array(0), 0, this.#groups, namespace);
      root.attached = true;
      this.#roots.set(namespace, root);
    }
    return root;
  }
  #child(parent: DemotedNode, tokens: Int32Array): DemotedNode {
    const key = keyOf(tokens, 0, tokens.length);
    let node = parent.child(key, tokens, 0);
    if (!node) {
      node = new DemotedNode(parent, tokens, key, this.#groups, parent.namespace);
      parent.attach(node);
    }
    return node;
  }
}
