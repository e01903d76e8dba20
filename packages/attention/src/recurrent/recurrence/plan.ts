import { arange, concat, full, sizeScalar, type Tensor, take, where } from '@heddle/tensor';
import type { PackedRecurrence } from './packed.ts';

/**
 * What a GPU's workgroups ask about rows, i32 `[3 T + W]`: the sequence of each row, the slot that its sequence begins with (-1 for
 * zeros), and the first of the states that are saved after it (-1 for none); then for each saved state the next one of the same row.
 * The same for all layers of a step, which compute it once.
 */
export function statePlan({ segments, from, at }: Pick<PackedRecurrence, 'segments' | 'from' | 'at'>): Tensor {
  const { device } = segments;
  const T = segments.shape[0]!;
  const none = full(device, [T], -1, 'i32');
  const slots = from ? where(segments.less(0), -1, take(from, segments.maximum(0))) : none;
  if (!at) return concat([segments, slots, none], 0);
  const W = at.shape[0]!;
  const beyond = sizeScalar(device, W, 'i32');
  const least = (found: Tensor) => {
    const first = where(found, arange(device, W).reshape([1, W]), beyond).min(-1);
    return where(first.equal(beyond), -1, first);
  };
  const [row, state, end] = [arange(device, T).reshape([T, 1]), arange(device, W).reshape([W, 1]), at.reshape([1, W])];
  const later = end.equal(at.reshape([W, 1])).and(arange(device, W).reshape([1, W]).greater(state));
  return concat([segments, slots, least(end.equal(row)), least(later)], 0);
}
