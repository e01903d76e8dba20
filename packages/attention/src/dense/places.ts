import { arange, type Dim, sizeScalar, subtractDims, type Tensor } from '@heddle/tensor';
import type { PlaceName, PlaceShapes } from '../flex/trace.ts';
import type { DenseSizes } from './arguments.ts';

/** What score functions of an attention are traced over. */
export const placeShapes = ({ B, H, L, S }: DenseSizes): PlaceShapes => ({
  score: [B, H, L, S],
  b: [B, 1, 1, 1],
  h: [1, H, 1, 1],
  q: [1, 1, L, 1],
  k: [1, 1, 1, S],
});

/** Scores `[B, H, L, S]` with their places. */
export function withPlaces(score: Tensor, { B, H, L, S }: DenseSizes): Readonly<Record<PlaceName, Tensor>> {
  const { device } = score;
  const index = (size: Dim, axis: number) =>
    arange(device, size).reshape([0, 1, 2, 3].map((i) => (i === axis ? size : 1)));
  return {
    score,
    b: index(B, 0),
    h: index(H, 1),
    q: index(L, 2).add(sizeScalar(device, subtractDims(S, L), 'i32')),
    k: index(S, 3),
  };
}
