import type { KvShape, KvStore } from '../kv-shape.ts';
import type { BlockPool } from './block-pool.ts';

/** How long the stores of a group keep their rows. */
export interface Retention {
  /** Rows less than this many positions back are kept; all of them where it is undefined. */
  readonly window: number | undefined;
  /** Rows in front that are kept in spite of the window. */
  readonly keepFirst: number;
}

/** Stores of one retention: they share block tables, and each has a pool of its own of as many slots. */
export interface Group extends Retention {
  readonly windowed: boolean;
  readonly pool: BlockPool;
}

/** Retentions of a shape's stores, what keeps everything first and wider windows before narrower ones. */
export function retentionsOf(shape: KvShape): Retention[] {
  const found = new Map<string, Retention>();
  for (const layer of shape.layers)
    for (const store of Object.values(layer)) found.set(retentionKey(store), retentionOf(store));
  return [...found.values()].sort(
    (a, b) => (b.window ?? Infinity) - (a.window ?? Infinity) || b.keepFirst - a.keepFirst,
  );
}

const retentionOf = ({ window, keepFirst = 0 }: KvStore): Retention => ({
  window,
  keepFirst: window === undefined ? 0 : keepFirst,
});

export const retentionKey = (store: KvStore): string => {
  const { window, keepFirst } = retentionOf(store);
  return `${window ?? 'all'} ${keepFirst}`;
};
