/** What an eviction policy sees of a cached block of tokens. Times are counts of uses of the cache, not of a clock. */
export interface CachedBlock {
  /** When it was computed. */
  readonly created: number;
  /** When a sequence last began with it, or ended. */
  readonly lastUsed: number;
  /** How many sequences have found it. */
  readonly hits: number;
  /** The highest of the prompts that used it. */
  readonly priority: number;
}

/**
 * Which cached block is forgotten first when memory is needed: that of the lowest rank, earlier numbers before later ones. Only
 * blocks that no sequence holds are asked for, from the ends of prompts to their beginnings. A value without state.
 */
export interface EvictionPolicy {
  readonly name: string;
  /** What a block is worth: of two, the one whose numbers are smaller, the first that differ, is forgotten first. */
  rank(block: CachedBlock): readonly number[];
}

/** What was used longest ago goes first (LRU). */
export function leastRecentlyUsed(): EvictionPolicy {
  return { name: 'least recently used', rank: ({ lastUsed }) => [lastUsed] };
}

/** What was found least often goes first (LFU), among equals what was used longest ago. */
export function leastFrequentlyUsed(): EvictionPolicy {
  return { name: 'least frequently used', rank: ({ hits, lastUsed }) => [hits, lastUsed] };
}

/** What was computed first goes first (FIFO). */
export function firstInFirstOut(): EvictionPolicy {
  return { name: 'first in, first out', rank: ({ created }) => [created] };
}

/** What has the lowest priority goes first, among equals what was used longest ago. */
export function lowestPriority(): EvictionPolicy {
  return { name: 'lowest priority', rank: ({ priority, lastUsed }) => [priority, lastUsed] };
}
