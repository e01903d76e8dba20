import { CacheIntegrityError } from '../errors.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import type { Group } from './group.ts';

/** Where blocks come from: those that are free, those of cached tokens, and what open sequences can do without. */
export class BlockSupply {
  readonly #groups: readonly Group[];
  readonly #tree: BlockTree;
  readonly #reclaim: (group: number) => boolean;

  /** @param reclaim makes open sequences give back something of a group; false where they have nothing to spare */
  constructor(groups: readonly Group[], tree: BlockTree, reclaim: (group: number) => boolean) {
    this.#groups = groups;
    this.#tree = tree;
    this.#reclaim = reclaim;
  }

  /** A block of a group, held once, where one was promised. */
  take(group: number): number {
    const block = this.#find(group);
    if (block < 0) throw new CacheIntegrityError(`cache: group ${group} has no block left, though one was promised`);
    return block;
  }
  /** A block that open sequences have no use for, held once; undefined where there is none. */
  takeUnused(group: number): number | undefined {
    const { pool } = this.#groups[group]!;
    let block = pool.take();
    while (block < 0 && this.#tree.evict(group)) block = pool.take();
    return block < 0 ? undefined : block;
  }
  /** A block, if need be one that an open sequence can do without; undefined where there is none. */
  takeSpare(group: number): number | undefined {
    const block = this.#find(group);
    return block < 0 ? undefined : block;
  }
  /** Blocks that could be had without taking anything from open sequences. */
  available(group: number): number {
    return this.#groups[group]!.pool.freeCount + this.#tree.cached(group);
  }

  #find(group: number): number {
    const { pool } = this.#groups[group]!;
    let block = pool.take();
    while (block < 0 && (this.#tree.evict(group) || this.#reclaim(group))) block = pool.take();
    return block;
  }
}
