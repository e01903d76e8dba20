import type { MatrixFragment, WorkgroupArray } from '@heddle/tensor';
import { headPitch, tileElements } from './load-tile.ts';

/** How a workgroup takes its queries and keys. */
export interface ForwardTile {
  /** Fragments of queries below each other that a subgroup takes. */
  readonly down: number;
  readonly subgroups: number;
  /** Subgroups that share the same queries: each computes the scores of some keys and the sums of some columns. Default 1. */
  readonly across?: number;
  /** Keys of a tile. */
  readonly keys: number;
  /** Whether the next tiles are read before the scores are computed, or while the softmax is. */
  readonly early?: boolean;
  /** Whether queries stay in workgroup memory, and not in registers. */
  readonly stay?: boolean;
  /** f32 values behind each row of scores, against bank conflicts. */
  readonly padding?: 4 | 8;
}

/** Sizes that follow from a tile. */
export interface ForwardTileSizes {
  readonly rows: number;
  /** Lanes that share a row, and fours of it that each of them has. */
  readonly perRow: number;
  readonly fours: number;
  readonly queries: number;
  readonly threads: number;
  readonly scorePitch: number;
  readonly weightPitch: number;
}

export function forwardTileSizes(
  { down, subgroups, across = 1, keys, padding = 4 }: ForwardTile,
  { M, lanes }: MatrixFragment,
): ForwardTileSizes {
  const rows = down * M;
  const perRow = (lanes * across) / rows;
  return {
    rows,
    perRow,
    fours: keys / 4 / perRow,
    queries: (rows * subgroups) / across,
    threads: lanes * subgroups,
    scorePitch: (keys + padding) / 4,
    weightPitch: keys / 8 + 1,
  };
}

/** Queries and invocations of a workgroup. */
export function forwardSizes(tile: ForwardTile, fragment: MatrixFragment): { queries: number; threads: number } {
  const { queries, threads } = forwardTileSizes(tile, fragment);
  return { queries, threads };
}

/** Whether a tile can be cut into fragments, and fits. */
export function forwardFits(tile: ForwardTile, fragment: MatrixFragment, D: number, workgroupBytes: number): boolean {
  const { perRow, fours, queries, scorePitch, weightPitch } = forwardTileSizes(tile, fragment);
  const { across = 1, keys } = tile;
  const whole = [
    perRow,
    fours / 2,
    keys / fragment.K,
    D / fragment.K,
    keys / across / fragment.N,
    D / across / fragment.N,
  ];
  const heads = 2 * keys + (tile.stay ? queries : 0);
  const elements = queries * (scorePitch + weightPitch) + heads * headPitch(D);
  return whole.every(Number.isInteger) && 16 * elements + 4 * keys + 64 <= workgroupBytes;
}

/** Workgroup memory of `forwardText`. */
export function forwardMemory(D: number, tile: ForwardTile, fragment: MatrixFragment): Record<string, WorkgroupArray> {
  const { queries, scorePitch, weightPitch } = forwardTileSizes(tile, fragment);
  const { keys, stay } = tile;
  return {
    s_tile: { type: 'vec4<u32>', length: queries * scorePitch },
    p_tile: { type: 'vec4<u32>', length: queries * weightPitch },
    k_tile: { type: 'vec4<u32>', length: tileElements(keys, D) },
    v_tile: { type: 'vec4<u32>', length: tileElements(keys, D) },
    ...(stay ? { q_tile: { type: 'vec4<u32>', length: tileElements(queries, D) } } : {}),
    // the number of the last tile in which a row's maximum grew too much, or a value that not all queries see was not finite
    grown: { type: 'atomic<u32>' },
    // the number of the last tile in which a value of the key was not finite, of tiles that not all queries see
    odd_keys: { type: 'atomic<u32>', length: keys },
  };
}

/** What the kernel around says, in WGSL. */
export interface ForwardHooks {
  /** The place of the head of query `id` in q: always one that exists. */
  readonly queryHead: (id: string) => string;
  /** The place of the head of a key in k and v, for key `x` of `tile` (the present one) or `next`: always one that exists. */
  readonly keyHead: (tile: 'tile' | 'next', x: string) => string;
  /** Names of the buffers of keys and values, for the one or the other tile. */
  readonly fetch?: (tile: 'tile' | 'next', fetchFrom: (keys: string, values: string) => string) => string;
  /** Moves `next` on; `more` says whether there is one. Uniform. */
  readonly advance: string;
  /** Uniform in a subgroup: whether every key of the present tile is seen by all its queries. */
  readonly free: string;
  /** Uniform in the workgroup: whether every key of the present tile is seen by all queries of the workgroup. */
  readonly allFree: string;
  /** The score of a product where the key is seen; where it is the product times `scale` and no more, undefined. */
  readonly change?: (product: string, key: string) => string;
  /** The score of a product, or the lowest where the key is not seen. */
  readonly adjust: (product: string, key: string) => string;
  readonly scale: number;
  /** The first maximum and sum of a row, before any key; the maximum in base 2 where there is no `change`. */
  readonly first: readonly [string, string];
  /** What weights are multiplied by behind the sum, for the four keys from `key` on. */
  readonly keep?: (key: string) => string;
  /** Stores a row's highest score and the logarithm of its sum below it, where the query exists. */
  readonly storeSoftmax: (top: string, logSum: string) => string;
  /** Stores four values of the row, where the query exists. */
  readonly store4: (column: string, value: string) => string;
}
