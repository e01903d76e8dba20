/**
 * Where tokens are, and what became of those that were asked for: with `retain` those of open sequences, which `range` reads;
 * with `tiers` those that prompts may begin with.
 */
export interface KvTierStats {
  readonly name: string;
  /** Tokens that are there, over all sequences; of a store with `tiers` those that it took. */
  readonly length: number;
  /** Tokens of one sequence that it takes, with `tiers` of all that no sequence holds; without bound for a store. */
  readonly maxLength: number;
  /** Tokens that were found here, and tokens that were looked for here in vain, since no tier above had them. */
  readonly hits: number;
  readonly misses: number;
  /** hits / (hits + misses); 0 before anything was asked for. */
  readonly hitRate: number;
  /** Tokens that have left it for the next tier, or for good. */
  readonly evictions: number;
  /** Tokens that were brought back from it to where steps read them. */
  readonly promotions: number;
  /** Bytes that it has set aside on the device, or holds on the host; of a store what was written and not deleted. */
  readonly bytes: number;
}

export const tierNames = ['hot', 'warm', 'cold', 'store'] as const;
export type TierName = (typeof tierNames)[number];

/** Counters by tier. */
export class TierCounts {
  readonly hits: Record<TierName, number> = { hot: 0, warm: 0, cold: 0, store: 0 };
  readonly evictions: Record<TierName, number> = { hot: 0, warm: 0, cold: 0, store: 0 };
  readonly promotions: Record<TierName, number> = { hot: 0, warm: 0, cold: 0, store: 0 };
  missing = 0;

  /** Tokens that were looked for in a tier in vain. */
  misses(tier: TierName): number {
    const below = tierNames.slice(tierNames.indexOf(tier) + 1);
    return below.reduce((sum, name) => sum + this.hits[name], this.missing);
  }
}
