import type { BlockPool } from '../blocks/block-pool.ts';
import type { BlockNode } from '../prefix/block-node.ts';
import type { RawBlocks } from '../storage/raw-blocks.ts';
import type { RawGroup } from '../storage/raw-layout.ts';
import type { StorePools } from '../storage/store-pools.ts';
import type { TierCounts } from '../tiers/tier-counts.ts';
import type { DemotedBlock } from './demoted-node.ts';
import type { DemotedTree } from './demoted-tree.ts';
import type { PrefixStore, WrittenBlock } from './prefix-store.ts';

/** A block that the cache forgets. */
interface Leaving {
  readonly node: BlockNode;
  readonly group: number;
  readonly block: number;
}

/** The warm part: pools of 8 bits for the groups of rows. */
export interface WarmPart {
  readonly pools: StorePools;
  readonly rawGroups: readonly RawGroup[];
  readonly raw: RawBlocks;
  /** By group of rows. */
  readonly blocks: readonly BlockPool[];
}

export interface DemotionParts {
  readonly tree: DemotedTree;
  readonly groups: number;
  readonly blockSize: number;
  readonly hot: StorePools;
  readonly raw: RawBlocks;
  readonly warm: WarmPart | undefined;
  /** Blocks of the cold part, by group. */
  readonly cold: readonly number[];
  readonly store: PrefixStore | undefined;
  readonly counts: TierCounts;
  /** Is told of bytes that have come to the cold part. */
  readonly onArrival: (group: number, bytes: readonly Uint8Array[], rounded: boolean) => void;
}

/** Moves blocks that the cache forgets down: to the warm part, from there to the cold one, from there to the store. */
export class Demotions {
  readonly #parts: DemotionParts;
  readonly #leaving: Leaving[] = [];

  constructor(parts: DemotionParts) {
    this.#parts = parts;
  }

  /** Notes a block that is about to be given back; what it has must be as it is until `flush`. */
  note(node: BlockNode, group: number, block: number): void {
    this.#leaving.push({ node, group, block });
  }

  /** Copies what was noted, before anything is written to those blocks. */
  flush(): void {
    if (this.#leaving.length === 0) return;
    const byGroup = new Map<number, Leaving[]>();
    for (const one of this.#leaving.splice(0)) {
      if (one.group === 0) this.#parts.counts.evictions.hot += this.#parts.blockSize;
      if (this.#has(one)) continue;
      const others = byGroup.get(one.group);
      if (others) others.push(one);
      else byGroup.set(one.group, [one]);
    }
    for (const [group, some] of byGroup) this.#down(group, some);
  }

  /** Makes the warm and the cold part as small as they may be, which what was about to be used may have put off. */
  trim(): void {
    for (let group = 0; group < this.#parts.groups; group++) this.#trimCold(group);
  }

  /** Whether the same is further down already. */
  #has({ node, group }: Leaving): boolean {
    const { tree } = this.#parts;
    const kept = node.demoted?.attached ? node.demoted.blocks[group] : undefined;
    if (!kept || (node.exact && !kept.exact)) return false;
    tree.touch(kept);
    return true;
  }

  #down(group: number, leaving: readonly Leaving[]): void {
    const { warm } = this.#parts;
    const pool = warm?.blocks[group];
    const intoWarm: [one: Leaving, place: number][] = [];
    const intoCold: Leaving[] = [];
    const fromWarm: DemotedBlock[] = [];
    // what comes last stays: of more than the warm part holds, the first pass through
    const passing = pool ? Math.max(0, leaving.length - pool.blocks) : leaving.length;
    for (const [i, one] of leaving.entries()) {
      if (!pool || i < passing) intoCold.push(one);
      else {
        const place = this.#warmPlace(group, pool, fromWarm);
        if (place === undefined) intoCold.push(one);
        else intoWarm.push([one, place]);
      }
    }
    // what leaves the warm part is read before its places are written to
    if (fromWarm.length > 0) this.#fromWarmToCold(group, fromWarm, warm!);
    if (intoCold.length > 0) this.#fromHotToCold(group, intoCold);
    if (intoWarm.length > 0) this.#fromHotToWarm(group, intoWarm, warm!);
    this.#trimCold(group);
  }

  /** A free block of the warm part, or that of what was used longest ago, which is then on its way out. */
  #warmPlace(group: number, pool: BlockPool, out: DemotedBlock[]): number | undefined {
    const free = pool.take();
    if (free >= 0) return free;
    const oldest = this.#parts.tree.oldest('warm', group);
    if (!oldest) return undefined;
    out.push({ ...oldest });
    this.#parts.tree.move(oldest);
    return out.at(-1)!.warmBlock;
  }

  #fromHotToWarm(group: number, moving: readonly (readonly [Leaving, number])[], warm: WarmPart): void {
    const { tree, hot, blockSize } = this.#parts;
    const slots = (blocks: readonly number[]) =>
      Int32Array.from(
        { length: blocks.length * blockSize },
        (_, i) => blocks[Math.floor(i / blockSize)]! * blockSize + (i % blockSize),
      );
    const from = moving.map(([{ block }]) => block);
    const to = moving.map(([, place]) => place);
    const copied = warm.pools.copyFrom(hot, slots(from), slots(to), group);
    const blocks = moving.map(([{ node }, warmBlock]) => this.#put(node, group, { place: 'warm', warmBlock }));
    copied.catch(() => {
      for (const block of blocks) this.#lose(block);
    });
    for (const block of blocks) tree.touch(block);
  }

  #fromWarmToCold(group: number, out: readonly DemotedBlock[], warm: WarmPart): void {
    if (group === 0) this.#parts.counts.evictions.warm += out.length * this.#parts.blockSize;
    const kept = out.map(({ node }) => node.blocks[group]!);
    if (this.#endsAbove(group)) {
      for (const block of kept) this.#parts.tree.remove(block);
      return;
    }
    this.#arrive(
      kept,
      warm.raw.read(
        group,
        out.map(({ warmBlock }) => warmBlock),
      ),
    );
  }

  /** Whether there is nothing below the warm part. */
  #endsAbove(group: number): boolean {
    return this.#parts.cold[group] === 0 && !this.#parts.store;
  }

  #fromHotToCold(group: number, leaving: readonly Leaving[]): void {
    if (this.#endsAbove(group)) return;
    const reading = this.#parts.raw.read(
      group,
      leaving.map(({ block }) => block),
    );
    const blocks = leaving.map(({ node }) => this.#put(node, group, { place: 'cold', warmBlock: -1 }));
    this.#arrive(blocks, reading);
  }

  #put(node: BlockNode, group: number, at: { place: 'warm' | 'cold'; warmBlock: number }): DemotedBlock {
    const { tree } = this.#parts;
    const rounded = at.place === 'warm';
    const below = tree.at(node);
    const before = below.blocks[group];
    if (before) this.discard(before);
    const block: DemotedBlock = {
      node: tree.at(node),
      group,
      exact: node.exact && !rounded,
      rounded,
      ...at,
      bytes: undefined,
      arriving: undefined,
      leases: 0,
      stored: false,
      fetched: false,
    };
    tree.put(block);
    return block;
  }

  /** Forgets a block, whatever it holds. */
  discard(block: DemotedBlock): void {
    if (block.place === 'warm') this.#parts.warm!.blocks[block.group]!.release(block.warmBlock);
    this.#parts.tree.remove(block);
  }
  #lose(block: DemotedBlock): void {
    if (block.node.blocks[block.group] === block) this.discard(block);
  }

  /** The bytes of cold blocks come later. */
  #arrive(blocks: readonly DemotedBlock[], reading: Promise<readonly Uint8Array[]>): void {
    const arriving = reading.then(
      (bytes) => {
        for (const [i, block] of blocks.entries()) {
          block.bytes = bytes[i];
          block.arriving = undefined;
        }
        const { group, rounded } = blocks[0]!;
        this.#parts.onArrival(group, bytes, rounded);
      },
      () => {
        for (const block of blocks) {
          block.arriving = undefined;
          this.#lose(block);
        }
      },
    );
    for (const block of blocks) block.arriving = arriving;
  }

  #trimCold(group: number): void {
    const { tree, cold, store, counts, blockSize } = this.#parts;
    const out: DemotedBlock[] = [];
    while (tree.count('cold', group) > cold[group]!) {
      const oldest = tree.oldest('cold', group);
      if (!oldest) break;
      tree.remove(oldest);
      out.push(oldest);
    }
    if (group === 0 && cold[group]! > 0) counts.evictions.cold += out.length * blockSize;
    store?.write(this.writable(out));
  }

  /** The same of the warm part, as it is now. */
  writableWarm(group: number, blocks: readonly DemotedBlock[]): WrittenBlock[] {
    const { raw } = this.#parts.warm!;
    const reading = raw
      .read(
        group,
        blocks.map(({ warmBlock }) => warmBlock),
      )
      .catch(() => []);
    const byteLength = raw.byteLength(group);
    return blocks.map(({ node, exact, rounded }, i) => {
      const bytes = reading.then((all: readonly Uint8Array[]) => all[i]);
      return { node, group, exact, rounded, bytes, byteLength };
    });
  }
  /** What of some cold blocks a store does not have. */
  writable(blocks: readonly DemotedBlock[]): WrittenBlock[] {
    return blocks
      .filter(({ stored }) => !stored)
      .map((block) => {
        const { node, group, exact, rounded, arriving } = block;
        const bytes = block.bytes ?? arriving!.then(() => block.bytes);
        const byteLength = (rounded ? this.#parts.warm!.raw : this.#parts.raw).byteLength(group);
        return { node, group, exact, rounded, bytes, byteLength };
      });
  }
}
