import type { MatrixFragment, WorkgroupArray } from '@heddle/tensor';
import { headPitch, tileElements } from './load-tile.ts';

/** How a workgroup takes its own rows and the others. */
export interface GradientTile {
  /** Fragments of own rows below each other that a pair of subgroups takes. */
  readonly down: number;
  readonly pairs: number;
  /** Other rows of a tile. */
  readonly others: number;
  /** Tiles in workgroup memory: with 2, two barriers a tile in place of four. */
  readonly buffers: 1 | 2;
  readonly padding?: 4 | 8;
}

/** Sizes that follow from a tile. */
export interface GradientTileSizes {
  readonly rows: number;
  /** Lanes that share a row, and fours of it that each of them has. */
  readonly perRow: number;
  readonly fours: number;
  readonly own: number;
  readonly threads: number;
  readonly scorePitch: number;
  readonly weightPitch: number;
}

export function gradientTileSizes(
  { down, pairs, others, padding = 4 }: GradientTile,
  { M, lanes }: MatrixFragment,
): GradientTileSizes {
  const rows = down * M;
  const perRow = (2 * lanes) / rows;
  return {
    rows,
    perRow,
    fours: others / 4 / perRow,
    own: rows * pairs,
    threads: 2 * lanes * pairs,
    scorePitch: (others + padding) / 4,
    weightPitch: others / 8 + 1,
  };
}

/** Own rows and invocations of a workgroup. */
export function gradientSizes(
  tile: GradientTile,
  fragment: MatrixFragment,
): { own: number; threads: number; rows: number } {
  const { own, threads, rows } = gradientTileSizes(tile, fragment);
  return { own, threads, rows };
}

/** Whether a tile can be cut into fragments, and fits. */
export function gradientFits(tile: GradientTile, fragment: MatrixFragment, D: number, workgroupBytes: number): boolean {
  const { perRow, fours, own, scorePitch, weightPitch } = gradientTileSizes(tile, fragment);
  const { others, buffers } = tile;
  const { N, K } = fragment;
  const whole = [perRow, fours / 2, others / K, others / N, D / K, D / 2 / N].every(Number.isInteger);
  const elements = 2 * own * (scorePitch + weightPitch) + buffers * (2 * others * headPitch(D) + (3 * others) / 4);
  return whole && 16 * elements + 8 * others + 64 <= workgroupBytes;
}

/** Workgroup memory of `gradientText`. */
export function gradientMemory(
  D: number,
  tile: GradientTile,
  fragment: MatrixFragment,
  { of, rescored }: Pick<GradientHooks, 'of' | 'rescored'>,
): Record<string, WorkgroupArray> {
  const { others, buffers } = tile;
  const { own, scorePitch, weightPitch } = gradientTileSizes(tile, fragment);
  const statistics = of === 'query' ? [] : [...(rescored ? ['top'] : []), 'lse', 'delta'];
  return {
    // scores, behind them gradients of probabilities
    s_tile: { type: 'vec4<u32>', length: 2 * own * scorePitch },
    // gradients of scores, and probabilities
    p_tile: { type: 'vec4<u32>', length: (of === 'query' ? 1 : 2) * own * weightPitch },
    other_tile: { type: 'vec4<u32>', length: 2 * buffers * tileElements(others, D) },
    ...Object.fromEntries(
      statistics.map((name) => [`other_${name}`, { type: 'vec4<f32>', length: (buffers * others) / 4 } as const]),
    ),
    // the numbers of the last tiles with another row with values that are not finite and that not all see; and whose row it
    // is, apart for tiles of even and of odd numbers
    odd_tiles: { type: 'atomic<u32>', length: 2 },
    odd_rows: { type: 'atomic<u32>', length: 2 * others },
  };
}

/** What the kernels around say, in WGSL. */
export interface GradientHooks {
  /** Gradients of queries, over tiles of keys; or of keys and values, over tiles of queries. */
  readonly of: 'query' | 'key';
  /** Buffers of the own rows: what the other rows' first and second are multiplied by. */
  readonly own: readonly [string, string];
  readonly others: readonly [string, string];
  /** The place of the head of own row `id`, and of row `x` of the next tile: always one that exists. */
  readonly ownHead: (id: string) => string;
  readonly otherHead: (x: string) => string;
  /** The place of the statistics: of own row `id`, or of row `x` of the next tile, and whether that one exists. */
  readonly statistics: (row: string) => string;
  readonly exists: (x: string) => string;
  /** Moves `next` on; `more` says whether there is one. Uniform. */
  readonly advance: string;
  /** Uniform in a pair of subgroups: whether every key of the present tile is seen by all its queries. */
  readonly free: string;
  /** Uniform in the workgroup: the same for `next` and all that the workgroup has. */
  readonly nextAllFree: string;
  readonly scale: number;
  /** Whether scores are anything else than products times the scale, and may be huge: their maximum is then taken off first. */
  readonly rescored: boolean;
  /** Whether scores have a slope: a score is then a `vec2<f32>`, with what it changes by where the scaled product changes by one. */
  readonly sloped: boolean;
  /** The score of a product where the key is seen, of row `x` of the present tile; where it is the product times `scale` and no more, undefined. */
  readonly change?: (product: string, x: string) => string;
  /** The score of a product, or the lowest where the key is not seen. */
  readonly adjust: (product: string, x: string) => string;
  /** Stores four values of own row `id`, where it exists: of the first output or the second. */
  readonly store4: (output: 0 | 1, id: string, column: string, value: string) => string;
}
