import {
  arange,
  calledAs,
  checkArguments,
  type Dim,
  DTypeError,
  formatShape,
  ShapeError,
  sizeScalar,
  subtractDims,
  type Tensor,
  take,
  where,
} from '@heddle/tensor';
import type { DenseSizes } from './arguments.ts';

/**
 * Segments of sequences that are packed one after the other, for `attention`: the offsets at which they begin and the last one's
 * end, as `cu_seqlens` elsewhere, become the number of the sequence for each place.
 *
 * @param offsets i32 `[N + 1]`, growing, the first one 0
 * @param length S; places behind the last offset get -1, which is padding
 * @returns i32 `[1, S]`
 * @throws DTypeError, ShapeError
 */
export function segmentIds(offsets: Tensor, length: Dim): Tensor {
  checkArguments('segmentIds', 'tensor', { offsets });
  return calledAs('segmentIds', () => {
    if (offsets.dtype !== 'i32') throw new DTypeError(`segmentIds: offsets must be i32, got ${offsets.dtype}`);
    if (offsets.rank !== 1)
      throw new ShapeError(`segmentIds: offsets must be [N + 1], got ${formatShape(offsets.shape)}`);
    const place = arange(offsets.device, length);
    const begun = offsets
      .reshape([-1, 1])
      .lessEqual(place.reshape([1, length]))
      .cast('i32')
      .sum(0);
    const inside = place.less(offsets.max(0, { keepDims: true }));
    return where(inside, begun.sub(1), -1).reshape([1, length]);
  });
}

/** bool `[B, 1, L, S]`: whether query and key are of one segment. */
export function sameSegment(segments: Tensor, { B, L, S }: DenseSizes): Tensor {
  const { device } = segments;
  const position = arange(device, L).add(sizeScalar(device, subtractDims(S, L), 'i32'));
  const own = where(position.less(0), -1, take(segments, position.maximum(0), 1)).reshape([B, 1, L, 1]);
  return own.equal(segments.reshape([B, 1, 1, S])).and(own.greaterEqual(0));
}
