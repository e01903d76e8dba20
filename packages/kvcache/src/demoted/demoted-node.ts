import { TokenNode } from '../prefix/token-node.ts';

/** What one group of a cache had for a block of tokens, further down than the device's memory that steps read. */
export interface DemotedBlock {
  readonly node: DemotedNode;
  readonly group: number;
  /** Whether it is as it was computed, and so is all that it was computed from. */
  readonly exact: boolean;
  place: 'warm' | 'cold';
  /** Block of the warm pools; -1 in the cold part. */
  warmBlock: number;
  /** Whether it is in the warm part's format. */
  readonly rounded: boolean;
  /** In the cold part, once they are there. */
  bytes: Uint8Array | undefined;
  /** Until they are. */
  arriving: Promise<void> | undefined;
  /** Held by as many who are about to use it. */
  leases: number;
  /** Whether the store has it. */
  stored: boolean;
  /** Whether it came from the store and was not used since. */
  fetched: boolean;
}

/** A full block of tokens of which something was demoted, or of a block after it. */
export class DemotedNode extends TokenNode<DemotedNode> {
  readonly namespace: string;
  /** By group. */
  readonly blocks: (DemotedBlock | undefined)[];
  /** Of its tokens and all before them: computed where a store is asked. */
  digest: Promise<Uint8Array> | undefined;

  constructor(parent: DemotedNode | undefined, tokens: Int32Array, key: number, groups: number, namespace: string) {
    super(parent, tokens, key);
    this.namespace = namespace;
    this.blocks = new Array<DemotedBlock | undefined>(groups).fill(undefined);
  }
}
