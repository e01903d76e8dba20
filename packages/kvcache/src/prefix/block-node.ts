import type { DemotedNode } from '../demoted/demoted-node.ts';
import type { TierName } from '../tiers/tier-counts.ts';
import type { CachedBlock } from './eviction-policies.ts';
import { TokenNode } from './token-node.ts';

/** A full block of tokens after those of its parent, and where each group of the cache has what was computed for it. */
export class BlockNode extends TokenNode<BlockNode> implements CachedBlock {
  /** Block of each group; -1 where it has none any more. */
  readonly blocks: Int32Array;
  created: number;
  lastUsed: number;
  hits = 0;
  priority: number;
  /** By group: changes whenever earlier offers of its block to be evicted are void. */
  readonly stamps: Int32Array;
  /** Whether nothing that it was computed from was rounded more than the cache rounds what is written. */
  exact: boolean;
  /** Of a root: the namespace. */
  readonly namespace: string;
  /** Where what it had is kept further down. */
  demoted: DemotedNode | undefined;
  /** Which tier it was brought back from, until a sequence has used it. */
  from: TierName = 'hot';
  /** Until all that is brought back for it is written. */
  arriving: Promise<void> | undefined;

  constructor(
    parent: BlockNode | undefined,
    tokens: Int32Array,
    key: number,
    groups: number,
    now: number,
    { exact = true, namespace = '' }: { readonly exact?: boolean; readonly namespace?: string } = {},
  ) {
    super(parent, tokens, key);
    this.blocks = new Int32Array(groups).fill(-1);
    this.stamps = new Int32Array(groups);
    this.created = now;
    this.lastUsed = now;
    this.priority = Number.NEGATIVE_INFINITY;
    this.exact = exact;
    this.namespace = namespace;
  }

  /** Waits for what is written to its blocks. */
  follow(writing: Promise<void>): void {
    const all = (this.arriving ? Promise.all([this.arriving, writing]) : writing).then(() => {
      if (this.arriving === all) this.arriving = undefined;
    });
    all.catch(() => {}); // whoever begins with it hears of it
    this.arriving = all;
  }
}
