import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { describe } from '../../checks/describe.ts';
import { ArgumentError, ShapeError } from '../../checks/errors.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { arange } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { add, div, mul, sigmoid } from '../elementwise/elementwise.ts';
import { where } from '../elementwise/where.ts';
import { takeAlongAxis } from '../indexing/indexing.ts';
import { topK } from '../indexing/sort.ts';
import { expand, reshape } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { any } from '../reduce/statistics.ts';
import { softmax } from '../rows/softmax.ts';

/** How rows choose their experts. */
export interface RoutingOptions {
  /** S: how many each row has. */
  readonly count: number;
  /** What scores are made of logits. Default 'softmax', over all experts. */
  readonly scores?: 'softmax' | 'sigmoid';
  /** Whether the weights of a row are divided by their sum. Default true. */
  readonly normalize?: boolean;
  /** Factor on the weights. Default 1. */
  readonly scale?: number;
  /** `[N]`: is added to the scores for the choice, and to the weights not. */
  readonly correction?: Tensor;
  /**
   * Experts in `count` groups of neighbours, of which each row chooses from the `chosen` ones whose two best experts have the largest
   * sums.
   */
  readonly groups?: { readonly count: number; readonly chosen: number };
}

/** Which experts each row has, and with which weights, the best first. */
export interface Routing {
  /** i32 `[T, S]` */
  readonly experts: Tensor;
  /** f32 `[T, S]`: differentiable with respect to the logits. */
  readonly weights: Tensor;
}

/**
 * Chooses the experts of each row of a mixture.
 * @param logits f32 or f16 `[T, N]`; a row that is not finite has experts, and weights that are NaN
 * @throws ShapeError, ArgumentError for counts that do not fit
 * Source: https://arxiv.org/abs/2412.19437 (groups, correction)
 */
export function routeTokens(logits: Tensor, options: RoutingOptions): Routing {
  return calledAs('routeTokens', () => {
    checkArguments('routeTokens', 'tensor', { logits });
    checkOptions('routeTokens', options, {
      count: 'number',
      scores: 'anything',
      normalize: 'boolean?',
      scale: 'number?',
      correction: 'tensor?',
      groups: 'object?',
    });
    if (options.groups) checkOptions('routeTokens', options.groups, { count: 'number', chosen: 'number' });
    if (options.scores !== undefined && options.scores !== 'softmax' && options.scores !== 'sigmoid')
      throw new ArgumentError(`routeTokens: scores must be softmax or sigmoid, got ${describe(options.scores)}`);
    const { count, normalize = true, scale = 1, correction, groups } = options;
    const [T, N] = logits.shape;
    if (logits.rank !== 2 || typeof N !== 'number')
      throw new ShapeError(`routeTokens: logits must be [T, N], got ${formatShape(logits.shape)}`);
    checkCounts(N, options);
    if (correction && String(correction.shape) !== String([N]))
      throw new ShapeError(`routeTokens: the correction must be [${N}], got ${formatShape(correction.shape)}`);
    const wide = cast(logits, 'f32');
    const scores = options.scores === 'sigmoid' ? sigmoid(wide) : softmax(wide);
    const ranked = correction ? add(scores, cast(correction, 'f32')) : scores;
    const experts = topK(groups ? withinGroups(ranked, groups) : ranked, count).indices;
    const chosen = takeAlongAxis(scores, experts, 1);
    // scores of sigmoid may all be 0
    const total = add(sum(chosen, -1, { keepDims: true }), 1e-20);
    const weights = expand(normalize ? div(chosen, total) : chosen, [T!, count]);
    return { experts, weights: scale === 1 ? weights : mul(weights, scale) };
  });
}

/** The scores, and less than any of them where a group was not chosen. */
function withinGroups(scores: Tensor, { count, chosen }: { readonly count: number; readonly chosen: number }): Tensor {
  const [T, N] = scores.shape as [number, number];
  const size = N / count;
  const apart = reshape(scores, [T, count, size]);
  const best = topK(sum(topK(apart, Math.min(2, size)).values, -1), chosen).indices;
  const group = reshape(arange(scores.device, count), [1, count, 1]);
  const isChosen = any(reshape(best, [T, 1, chosen]).equal(group), -1);
  return reshape(where(reshape(isChosen, [T, count, 1]), apart, -Infinity), [T, N]);
}

function checkCounts(N: number, { count, groups }: RoutingOptions): void {
  const isCount = (value: number, most: number) => Number.isInteger(value) && value >= 1 && value <= most;
  if (!isCount(count, N))
    throw new ArgumentError(`routeTokens: count must be a whole number from 1 to ${N} experts, got ${count}`);
  if (!groups) return;
  if (!isCount(groups.count, N) || N % groups.count !== 0 || !isCount(groups.chosen, groups.count))
    throw new ArgumentError(
      `routeTokens: the count of groups must divide ${N} experts, and as many or fewer be chosen, got ${groups.chosen} of ${groups.count}`,
    );
  if (count > (groups.chosen * N) / groups.count)
    throw new ArgumentError(
      `routeTokens: ${groups.chosen} groups of ${N / groups.count} experts have fewer than ${count}`,
    );
}
