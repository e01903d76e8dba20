import type { MatrixFragment } from '../../../executors/webgpu/matrix-fragment.ts';
import { type MatmulTile, simtTiles } from './simt.wgsl.ts';
import { type FragmentTile, largeTiles, smallTiles } from './tensor-core.wgsl.ts';

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

/** Workgroups that a large GPU works on at once: about two for each core. Fewer take about as long. */
const atOnce = 256;
/** More workgroups than these gain nothing from parts. */
const enoughWorkgroups = 512;
const leastDepth = 256;
/** Microseconds of the kernel that sums parts up, and of a thousand values that it reads. */
const [sumTime, sumTimePerThousand] = [10, 0.0032];

/** A tile without fragments, and in how many parts the depth is summed up. */
export interface SimtChoice {
  readonly tile: MatmulTile;
  readonly parts: number;
}

const nameOf = (kind: 'fragments' | 'tiles', { tile, parts }: FragmentChoice | SimtChoice) =>
  `${kind} ${tile.m}x${tile.n}x${tile.k}${parts > 1 ? ` in ${parts} parts` : ''}`;

const workgroupsOf = ({ tile, parts }: FragmentChoice | SimtChoice, { batch, m, n }: ProductSizes) =>
  Math.ceil(m / tile.m) * Math.ceil(n / tile.n) * batch * parts;

/**
 * Microseconds that a choice takes on an H100, about. Of 42 products of 16 to 1,024 rows by matrices of [512, 2048] to
 * [4096, 4096] and [8192, 2048] the least is the choice that was fastest there, or one at most 15% slower.
 */
function estimate(choice: FragmentChoice, sizes: ProductSizes): number {
  const { tile, parts } = choice;
  const { batch, m, n, k = leastDepth } = sizes;
  const rounds = Math.max(1, workgroupsOf(choice, sizes) / atOnce);
  const sum = parts > 1 ? sumTime + (sumTimePerThousand * parts * batch * m * n) / 1000 : 0;
  return (rounds * tile.time * k) / parts / 1000 + sum;
}

/** The choice that takes least by the estimate, or what tuning found to be faster. */
export function fragmentChoice(
  { M }: MatrixFragment,
  sizes: ProductSizes,
  choose: (names: readonly string[], preferred: string) => string,
): FragmentChoice {
  const tiles = M === 16 ? largeTiles : smallTiles;
  const choices: FragmentChoice[] = [];
  for (const tile of tiles)
    for (let parts = 1; parts * leastDepth <= (sizes.k ?? 0) || parts === 1; parts *= 2)
      if (parts === 1 || workgroupsOf({ tile, parts }, sizes) <= enoughWorkgroups) choices.push({ tile, parts });
  const usual = tiles === smallTiles ? choices.filter(({ parts }) => parts === 1) : choices;
  const preferred = usual.reduce((a, b) => (estimate(b, sizes) < estimate(a, sizes) ? b : a));
  const name = choose(
    choices.map((choice) => nameOf('fragments', choice)),
    nameOf('fragments', preferred),
  );
  return choices.find((choice) => nameOf('fragments', choice) === name)!;
}

/** Cores of an H200: workgroups beyond a multiple of them take a round of their own. */
const cores = 132;
/** Parts of a depth without fragments are at least so deep: what they save must pay for their sums. */
const leastSimtDepth = 1024;

/**
 * Microseconds that a choice takes on an H200, about. Of 16 products, GPT-2's in training and squares of 256 to 4,096, it is within 17%
 * of what three tiles took in one part, and the least is the tile that was fastest there or one 4% slower.
 */
function simtEstimate(choice: SimtChoice, sizes: ProductSizes): number {
  const { tile, parts } = choice;
  const { batch, m, n, k = leastSimtDepth } = sizes;
  const rounds = Math.ceil(workgroupsOf(choice, sizes) / cores);
  const sum = parts > 1 ? sumTime + (sumTimePerThousand * parts * batch * m * n) / 1000 : 0;
  return (rounds * tile.time * k) / parts / 1000 + sum;
}

/** The choice without fragments that takes least by the estimate, or what tuning found to be faster. */
export function simtChoice(
  sizes: ProductSizes,
  inFours: boolean,
  choose: (names: readonly string[], preferred: string) => string,
): SimtChoice {
  const most = inFours ? Math.max(1, Math.floor((sizes.k ?? 0) / leastSimtDepth)) : 1;
  const choices: SimtChoice[] = [];
  for (const tile of simtTiles)
    for (let parts = 1; parts <= Math.min(16, most); parts *= 2) choices.push({ tile, parts });
  const preferred = choices.reduce((a, b) => (simtEstimate(b, sizes) < simtEstimate(a, sizes) ? b : a));
  const names = choices.map((choice) => nameOf('tiles', choice));
  return choices[names.indexOf(choose(names, nameOf('tiles', preferred)))]!;
}
