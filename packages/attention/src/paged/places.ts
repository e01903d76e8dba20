import { addDims, arange, type Dim, multiplyDims, type Tensor, type TensorType } from '@heddle/tensor';
import type { PlaceName, PlaceShapes } from '../flex/trace.ts';
import { named, type PackedAttributes, packedSizes } from './attributes.ts';

/** Every row with every key: columns of the scores. */
export interface PackedColumns {
  /** All of them: `cached` of each of B sequences, then T rows of the step. */
  readonly S: Dim;
  readonly cached: Dim;
  readonly B: Dim;
}

export function packedColumns(inputs: readonly TensorType[], attributes: PackedAttributes): PackedColumns {
  const { lengths } = named(inputs, attributes);
  const { T } = packedSizes(inputs, attributes);
  const [cached, B] = [attributes.cache?.maxLength ?? 0, lengths?.shape[0] ?? 0];
  return { S: attributes.cache ? addDims(multiplyDims(B, cached), T) : T, cached, B };
}

/** What score functions of packed rows are traced over. */
export function packedPlaceShapes(inputs: readonly TensorType[], attributes: PackedAttributes): PlaceShapes {
  const { T, H } = packedSizes(inputs, attributes);
  const { S } = packedColumns(inputs, attributes);
  return { score: [1, H, T, S], b: [1, 1, T, 1], h: [1, H, 1, 1], q: [1, 1, T, 1], k: [1, 1, 1, S] };
}

/** The places of scores `[1, H, T, S]`, of keys at `keyPositions`, i32 `[1, S]`. */
export function packedPlaces(
  inputs: readonly Tensor[],
  attributes: PackedAttributes,
  keyPositions: Tensor,
): Readonly<Record<Exclude<PlaceName, 'score'>, Tensor>> {
  const { q, segments, positions } = named(inputs, attributes);
  const shapes = packedPlaceShapes(inputs, attributes);
  return {
    b: segments.reshape(shapes.b),
    h: arange(q.device, packedSizes(inputs, attributes).H).reshape(shapes.h),
    q: positions.reshape(shapes.q),
    k: keyPositions.reshape(shapes.k),
  };
}
