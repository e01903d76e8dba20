import type { HostKv } from '../kv-cache.ts';

/** Rows of a block in the host's memory, or on their way to it. */
export interface ColdBlock {
  rows: HostKv | Promise<HostKv>;
}

/** A block in a store, for as many sequences as hold it. */
export interface StoredBlock {
  readonly key: string;
  holders: number;
  /** Until it is written. */
  rows: HostKv | Promise<HostKv> | undefined;
  /** Whether the store did not take it. */
  lost: boolean;
}

/** What of a sequence has left the hot part, by column, the oldest first. */
export class TierList {
  /** Block of the warm pools. */
  readonly warm: Map<number, number> = new Map();
  readonly cold: Map<number, ColdBlock> = new Map();
  readonly stored: Map<number, StoredBlock> = new Map();
}
