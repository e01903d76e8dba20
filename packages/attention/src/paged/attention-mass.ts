import { calledAs, checkOptions, formatShape, greater, ShapeError, type Tensor, where } from '@heddle/tensor';
import { lowestScore, lowestSeenScore } from '../dense/mask-value.ts';

/** What `attentionMass` takes. */
export interface AttentionMassInputs {
  /** `[R, H, D]`: queries of one sequence, rotated by their positions as attention takes them. */
  readonly q: Tensor;
  /** `[N, K, D]`: its keys, H a multiple of K. */
  readonly keys: Tensor;
  /** i32 `[R]`: positions of the queries. */
  readonly positions: Tensor;
  /** i32 `[N]`: positions of the keys. A query attends to those up to its own. */
  readonly keyPositions: Tensor;
  /** Scores are multiplied by it. Default 1 / sqrt(D). */
  readonly scale?: number;
}

/**
 * How much some rows attend to each key: the sum of their weights after the softmax, over rows and heads. f32 `[N]`, of which the
 * sum is R x H, less H for each row that stands before all keys. For policies that keep what is attended to (heavy hitters, SnapKV). In plain tensor operations: takes memory for
 * the scores of all rows and keys.
 * @throws ShapeError
 */
export function attentionMass(inputs: AttentionMassInputs): Tensor {
  checkOptions('attentionMass', inputs, {
    q: 'tensor',
    keys: 'tensor',
    positions: 'tensor',
    keyPositions: 'tensor',
    scale: 'finite?',
  });
  return calledAs('attentionMass', () => {
    const { q, keys, positions, keyPositions, scale } = inputs;
    const [R, H, D] = q.shape as [number, number, number];
    const [N, K] = keys.shape as [number, number];
    if (q.rank !== 3 || keys.rank !== 3 || keys.shape[2] !== D || H % K !== 0)
      throw new ShapeError(
        `attentionMass: takes q [R, H, D] and keys [N, K, D], H a multiple of K, got ${formatShape(q.shape)} and ${formatShape(keys.shape)}`,
      );
    const groups = H / K;
    // [K, R x groups, D] times [K, D, N]
    const rows = q
      .cast('f32')
      .reshape([R, K, groups, D])
      .permute([1, 0, 2, 3])
      .reshape([K, R * groups, D]);
    const scores = rows
      .matmul(keys.cast('f32').permute([1, 2, 0]))
      .mul(scale ?? 1 / Math.sqrt(D))
      .reshape([K, R, groups, N]);
    const later = greater(keyPositions.reshape([1, 1, 1, N]), positions.reshape([1, R, 1, 1]));
    // a row that sees no key has weights of 0, and finite scores count however low they are
    const seen = where(later, lowestScore, scores.maximum(lowestSeenScore));
    return where(later, 0, seen.softmax(-1)).sum([0, 1, 2]);
  });
}
