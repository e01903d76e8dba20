import type { DemotedNode } from '../demoted/demoted-node.ts';
import type { TierName } from '../tiers/tier-counts.ts';
import type { CachedBlock } from './eviction-policies.ts';
import { TokenNode } from './token-node.ts';

/** A full block of tokens after those of its parent, and where each group of the cache has what was computed for it. */
export class BlockNode extends TokenNode<BlockNode> implements CachedBlock {
  /** Block of each group; -1 where it has none any more. */
  readonly blocks: number[];
  created: number;
  lastUsed: number;
  hits = 0;
  priority: number;
  /** By group: changes whenever earlier offers of its block to be evicted are void. */
  readonly stamps: number[];
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
    this.blocks = [];
    this.stamps = [];
    // an array each: typed ones are several objects, which the collector has to carry over
    for (let group = 0; group < groups; group++) {
      this.blocks.push(-1);
      this.stamps.push(0);
    }
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
