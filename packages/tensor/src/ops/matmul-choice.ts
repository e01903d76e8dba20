import { type Fragment, type FragmentTile, largeTiles, smallTiles } from './matmul-fragments.wgsl.ts';

/** Sizes of a product in a plan; the depth is undefined where runs differ in it. */
export interface ProductSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number | undefined;
}

/** A tile, and in how many parts the depth is summed up. */
export interface FragmentChoice {
  readonly tile: FragmentTile;
  readonly parts: number;
}

/**
 * Workgroups below which a smaller tile is taken: about one for each core of a large GPU. On an H100 (132 cores), 512 x 4096 x 4096:
 * 269 TFLOP/s with 128 workgroups of the largest tile, 200 with 256 of the next.
 */
const wantedWorkgroups = 128;
/** More workgroups than these gain nothing from parts. */
const enoughWorkgroups = 512;
const leastDepth = 256;

const nameOf = ({ tile, parts }: FragmentChoice) =>
  `fragments ${tile.m}x${tile.n}x${tile.k}${parts > 1 ? ` in ${parts} parts` : ''}`;

/** The largest tile with which enough workgroups have something to do, or what tuning found to be faster. */
export function fragmentChoice(
  { M }: Fragment,
  { batch, m, n, k = leastDepth }: ProductSizes,
  choose: (names: readonly string[], preferred: string) => string,
): FragmentChoice {
  const tiles = M === 16 ? largeTiles : smallTiles;
  const groups = (tile: FragmentTile) => Math.ceil(m / tile.m) * Math.ceil(n / tile.n) * batch;
  const tile = tiles.find((candidate) => groups(candidate) >= wantedWorkgroups) ?? tiles.at(-1)!;
  const choices = new Map<string, FragmentChoice>();
  for (const candidate of tiles)
    for (let parts = 1; parts * leastDepth <= k || parts === 1; parts *= 2)
      if (parts === 1 || groups(candidate) * parts <= enoughWorkgroups)
        choices.set(nameOf({ tile: candidate, parts }), { tile: candidate, parts });
  return choices.get(choose([...choices.keys()], nameOf({ tile, parts: 1 })))!;
}
