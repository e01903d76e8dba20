import { stack, stopGradient, type Tensor, where } from '@heddle/tensor';
import type { TracedFunctions } from '../flex/trace.ts';
import { type DenseAttributes, extrasOf, sizesOf } from './arguments.ts';
import { lowestScore } from './mask-value.ts';
import { dropped, groupKeys, groupScores, scoresOf, seenExp, ungroupQueries } from './scores.ts';
import { weightedSum } from './weighted-sum.ts';

/** Output `[B, L, H, D]`, and highest scores and logarithms of sums, f32 `[2, B, H, L]`, in tensor operations, with all scores in memory. */
export function decomposeDense(
  inputs: readonly Tensor[],
  attributes: DenseAttributes,
  functions?: TracedFunctions,
): readonly [Tensor, Tensor] {
  const sizes = sizesOf(inputs);
  const { B, L, H } = sizes;
  const sinks = extrasOf(inputs, attributes).sinks?.reshape([H, 1, 1]);
  const { scores, seen } = scoresOf(inputs, attributes, functions);
  const visible = seen ? where(seen, scores, lowestScore) : scores;
  // the softmax does not depend on what is subtracted
  const top = visible.max(-1, { keepDims: true }).maximum(lowestScore); // of no keys it is minus infinity
  const highest = stopGradient(sinks ? top.maximum(sinks) : top);
  const weights = seenExp(scores.sub(highest), seen);
  const total = weights.sum(-1, { keepDims: true });
  const sum = sinks ? total.add(sinks.sub(highest).exp()) : total;
  // a row that sees nothing has no weights: 0 / 1, and the logarithm of 1 at the lowest score
  const divisor = where(sum.greater(0), sum, 1);
  const kept = dropped(weights.div(divisor), inputs, attributes);
  const out = weightedSum(groupScores(kept, sizes), groupKeys(inputs[2]!));
  const softmax = stack([highest, divisor.log()].map((x) => x.reshape([B, H, L])));
  return [ungroupQueries(out, sizes).cast(inputs[0]!.dtype), softmax];
}
