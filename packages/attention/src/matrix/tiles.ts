import type { WebGpuCapabilities } from '@heddle/tensor';
import { type ForwardTile, forwardFits } from './forward.wgsl.ts';
import type { Fragment } from './fragment.ts';
import { type GradientTile, gradientFits } from './gradients.wgsl.ts';

type Limits = Pick<WebGpuCapabilities, 'maxWorkgroupStorageBytes'>;

/** Tiles for fragments of 16 rows, best first. */
const forwardTiles: readonly ForwardTile[] = [
  { down: 2, subgroups: 4, keys: 32 },
  { down: 1, subgroups: 4, keys: 32 },
];
const gradientTiles: readonly GradientTile[] = [
  { down: 2, pairs: 2, others: 32, buffers: 2 },
  { down: 2, pairs: 2, others: 32, buffers: 1 },
  { down: 1, pairs: 2, others: 32, buffers: 1 },
];
/** For small fragments, of which a kernel has many: its text grows with them, and with it the time to compile it. */
const smallForwardTile: ForwardTile = { down: 1, subgroups: 2, keys: 16 };
const smallGradientTile: GradientTile = { down: 1, pairs: 1, others: 16, buffers: 1 };

/** The best tile that fits; undefined where none does. */
export function forwardTileFor(fragment: Fragment, D: number, limits: Limits): ForwardTile | undefined {
  const tiles = fragment.M < 16 ? [smallForwardTile] : forwardTiles;
  return tiles.find((tile) => forwardFits(tile, fragment, D, limits.maxWorkgroupStorageBytes));
}

export function gradientTileFor(
  _of: 'query' | 'key',
  fragment: Fragment,
  D: number,
  limits: Limits,
): GradientTile | undefined {
  const tiles = fragment.M < 16 ? [smallGradientTile] : gradientTiles;
  return tiles.find((tile) => gradientFits(tile, fragment, D, limits.maxWorkgroupStorageBytes));
}
