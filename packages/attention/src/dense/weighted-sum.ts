import { defineOp, type Op, recordOne, type Tensor, type TensorType, where } from '@heddle/tensor';

/** Whether the weights are `[..., S, R]` and not `[..., R, S]`. */
interface SumAttributes {
  readonly transpose: boolean;
}

const largest = 3.4028234663852886e38;

/** x, and 0 where it is not finite. */
export const finite = (x: Tensor): Tensor => where(x.abs().lessEqual(largest), x, 0);

function sumType([w, x]: readonly TensorType[], { transpose }: SumAttributes): TensorType {
  const rows = w!.shape.at(transpose ? -1 : -2)!;
  return { shape: [...w!.shape.slice(0, -2), rows, x!.shape.at(-1)!], dtype: 'f32' };
}

/**
 * Sums of rows, of which a weight of 0 takes nothing: in a plain product 0 times infinity is NaN, and what one row holds would
 * reach those that do not attend to it. A sum that takes a row with values that are not finite has, where any row of the batch
 * has such a value, their sum.
 */
const weightedSumOp: Op<SumAttributes> = defineOp({
  name: 'attentionWeightedSum',
  shape: (inputs, attributes) => [sumType(inputs, attributes)],
  gradient({ inputs: [w, x], outputGradients: [g], attributes: { transpose } }) {
    const byWeights = transpose ? x!.matmul(g!, { transposeB: true }) : g!.matmul(x!, { transposeB: true });
    // weights that do not depend on x are constant: those of 0 select what goes through them
    return [byWeights, weightedSum(w!, g!, !transpose)];
  },
  decompose([w, x], { transpose }) {
    const bounded = x!.abs().lessEqual(largest);
    const product = w!.matmul(where(bounded, x!, 0), { transposeA: transpose });
    const odd = where(bounded, 0, 1).max(-1, { keepDims: true }).cast('f32');
    const meets = w!.matmul(odd, { transposeA: transpose }).greater(0);
    const beyond = where(bounded, 0, x!).sum(-2, { keepDims: true });
    return [product.add(where(meets, beyond, 0))];
  },
});

/** Weights `[..., R, S]`, none below 0, times rows `[..., S, D]`; with `transpose` weights `[..., S, R]`. */
export function weightedSum(weights: Tensor, rows: Tensor, transpose = false): Tensor {
  return recordOne(weightedSumOp, [weights, rows], { transpose });
}

/** Products of queries `[..., R, D]` and keys `[..., S, D]`, of which a gradient of 0 takes nothing back. */
const scoreProductOp: Op<null> = defineOp({
  name: 'attentionScoreProduct',
  shape: ([q, k]) => [{ shape: [...q!.shape.slice(0, -1), k!.shape.at(-2)!], dtype: 'f32' }],
  // of a key or query that is not finite the gradient of its score is not finite either, where it is not 0
  gradient: ({ inputs: [q, k], outputGradients: [g] }) => [
    g!.matmul(finite(k!)),
    g!.matmul(finite(q!), { transposeA: true }),
  ],
  decompose: ([q, k]) => [q!.matmul(k!, { transposeB: true })],
});

export function scoreProduct(queries: Tensor, keys: Tensor): Tensor {
  return recordOne(scoreProductOp, [queries, keys], null);
}
