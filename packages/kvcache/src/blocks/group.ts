import { isState, type KvShape, type KvStore } from '../kv-shape.ts';
import type { BlockPool } from './block-pool.ts';

/** How long the stores of a group keep what they hold. */
export interface Retention {
  /** Rows of all tokens, rows of a window, or states after some of the tokens. */
  readonly kind: 'all' | 'window' | 'state';
  /** Rows less than this many positions back are kept; all of them where it is undefined. */
  readonly window: number | undefined;
  /** Rows in front that are kept in spite of the window. */
  readonly keepFirst: number;
}

/**
 * Stores of one retention: each has a pool of its own of as many slots. Groups of rows share block tables. In the group of
 * states a block is one state.
 */
export interface Group extends Retention {
  readonly pool: BlockPool;
}

const order = { all: 0, window: 1, state: 2 } as const;

/** Retentions of a shape's stores: what keeps everything, then wider windows before narrower ones, then states. */
export function retentionsOf(shape: KvShape): Retention[] {
  const found = new Map<string, Retention>();
  for (const layer of shape.layers)
    for (const store of Object.values(layer)) found.set(retentionKey(store), retentionOf(store));
  return [...found.values()].sort(
    (a, b) => order[a.kind] - order[b.kind] || (b.window ?? 0) - (a.window ?? 0) || b.keepFirst - a.keepFirst,
  );
}

function retentionOf(store: KvStore): Retention {
  if (isState(store)) return { kind: 'state', window: undefined, keepFirst: 0 };
  const { window, keepFirst = 0 } = store;
  return window === undefined ? { kind: 'all', window, keepFirst: 0 } : { kind: 'window', window, keepFirst };
}

export const keyOfRetention = ({ kind, window, keepFirst }: Retention): string => `${kind} ${window} ${keepFirst}`;
export const retentionKey = (store: KvStore): string => keyOfRetention(retentionOf(store));
