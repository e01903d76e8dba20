import type { MatrixFragment, WebGpuCapabilities } from '@heddle/tensor';
import { type ForwardTile, forwardFits } from './forward-tile.ts';
import { type GradientTile, gradientFits } from './gradient-tile.ts';

type Limits = Pick<WebGpuCapabilities, 'maxWorkgroupStorageBytes'>;
type ByHead<Tile> = (D: number) => readonly Tile[];

/**
 * Tiles for fragments of 16 rows, best first where they fit. Measured on an H100, causal (`bench/ladders/attention.ts`), in
 * TFLOP/s; barriers and the way of scores through workgroup memory cost more than products, so what counts is how many
 * subgroups a multiprocessor holds and that nothing spills out of registers.
 *
 * D 64: 114 with the first; 8 subgroups of one fragment in pairs 112, pairs without sharing (`across` 1) 108, 8 in pairs 104,
 * four subgroups to a row 99, 64 keys 91 to 98, queries in workgroup memory (`stay`) 68 to 77, rows of scores 8 values apart
 * (`padding`) 72, tiles read early 105, 32 queries a subgroup without sharing 87.
 * D 128: 187 with the first; 16 subgroups of one fragment in pairs 174, 8 without sharing 172, 4 in pairs 130, 32 queries a
 * subgroup without sharing 89, which spills.
 */
const forwardTiles: ByHead<ForwardTile> = (D) =>
  D <= 64
    ? [
        { down: 2, subgroups: 4, across: 2, keys: 32 },
        { down: 1, subgroups: 4, keys: 32 },
      ]
    : [
        { down: 2, subgroups: 8, across: 2, keys: 32 },
        { down: 1, subgroups: 8, keys: 32 },
        { down: 1, subgroups: 4, keys: 32 },
      ];

/**
 * D 64: 128 with the first; 4 pairs of one fragment over 32 keys 119 and 121 (one buffer), 2 pairs over 32 keys 99, 4 pairs
 * 94. D 128: 224 with the first; 2 pairs over 32 keys 190, 4 pairs of one fragment 188, 2 of them 122.
 */
const queryTiles: ByHead<GradientTile> = (D) =>
  D <= 64
    ? [
        { down: 2, pairs: 2, others: 16, buffers: 2 },
        { down: 1, pairs: 4, others: 32, buffers: 1 },
      ]
    : [
        { down: 2, pairs: 4, others: 16, buffers: 1 },
        { down: 1, pairs: 4, others: 32, buffers: 1 },
      ];

/**
 * D 64: 128 with the first; 118 with one buffer, 121 with 4 pairs of two fragments over 16 queries, 112 with 2 over 32, 91 with
 * 2 over 16. D 128: 188 with the second, 133 with 2 pairs.
 */
const keyTiles: ByHead<GradientTile> = () => [
  { down: 1, pairs: 4, others: 32, buffers: 2 },
  { down: 1, pairs: 4, others: 32, buffers: 1 },
  { down: 1, pairs: 2, others: 32, buffers: 1 },
];

/** For small fragments, of which a kernel has many: its text grows with them, and with it the time to compile it. */
const smallForwardTile: ForwardTile = { down: 1, subgroups: 2, keys: 16 };
const smallGradientTile: GradientTile = { down: 1, pairs: 1, others: 16, buffers: 1 };

/** The best tile that fits; undefined where none does. */
export function forwardTileFor(fragment: MatrixFragment, D: number, limits: Limits): ForwardTile | undefined {
  const tiles = fragment.M < 16 ? [smallForwardTile] : forwardTiles(D);
  return tiles.find((tile) => forwardFits(tile, fragment, D, limits.maxWorkgroupStorageBytes));
}

export function gradientTileFor(
  of: 'query' | 'key',
  fragment: MatrixFragment,
  D: number,
  limits: Limits,
): GradientTile | undefined {
  const tiles = fragment.M < 16 ? [smallGradientTile] : (of === 'query' ? queryTiles : keyTiles)(D);
  return tiles.find((tile) => gradientFits(tile, fragment, D, limits.maxWorkgroupStorageBytes));
}
