import { defineOp, type GradientContext, type Op, record, recordOne, type Tensor } from '@heddle/tensor';
import { type DenseAttributes, extrasOf, type OptionalInput, sizesOf } from './dense-arguments.ts';
import { keyGradientWebGpu, queryGradientWebGpu } from './dense-gradients.wgsl.ts';
import { dropped, groupKeys, groupQueries, groupScores, scoresOf, seenExp, ungroupQueries } from './dense-scores.ts';

/**
 * What the gradients of an attention take behind the inputs of the attention itself: the log-sum-exp `[B, H, L]`, the
 * gradient by the output `[B, L, H, D]`, and delta f32 `[B, H, L]`, the share of each query that its softmax takes off.
 * Probabilities are computed again from scores and log-sum-exp, as in https://arxiv.org/abs/2205.14135.
 */
const behind = (inputs: readonly Tensor[]) => {
  const [logSumExp, outputGradient, delta] = inputs.slice(-3) as [Tensor, Tensor, Tensor];
  return { own: inputs.slice(0, -3), logSumExp, outputGradient, delta };
};

/** Probabilities and the gradient by the scores, both f32 `[B, H, L, S]`, and what scores are made of. */
function scoreGradients(inputs: readonly Tensor[], attributes: DenseAttributes) {
  const { own, logSumExp, outputGradient, delta } = behind(inputs);
  const sizes = sizesOf(own);
  const { B, L, S, H } = sizes;
  const { scores, slope, seen, distance } = scoresOf(own, attributes);
  const row = (x: Tensor) => x.reshape([B, H, L, 1]);
  const probabilities = seenExp(scores.sub(row(logSumExp)), seen);
  const byOutput = groupQueries(outputGradient, sizes);
  const byKept = byOutput.matmul(groupKeys(own[2]!), { transposeB: true }).reshape([B, H, L, S]);
  const byProbability = dropped(byKept, own, attributes);
  const byScore = probabilities.mul(byProbability.sub(row(delta)));
  const byProduct = (slope ? byScore.mul(slope) : byScore).mul(attributes.scale);
  return { sizes, own, byOutput, probabilities, byScore, byProduct, distance };
}

/** Gradient by q. */
const queryGradientOp: Op<DenseAttributes> = defineOp({
  name: 'attentionQueryGradient',
  shape: (inputs) => [inputs[0]!],
  decompose(inputs, attributes) {
    const { sizes, own, byProduct } = scoreGradients(inputs, attributes);
    return [ungroupQueries(groupScores(byProduct, sizes).matmul(groupKeys(own[1]!)), sizes).cast(own[0]!.dtype)];
  },
  lower: { webgpu: queryGradientWebGpu },
});

/** Gradients by k and v. */
const keyGradientOp: Op<DenseAttributes> = defineOp({
  name: 'attentionKeyGradient',
  shape: (inputs) => [inputs[1]!, inputs[2]!],
  decompose(inputs, attributes) {
    const { sizes, own, byOutput, probabilities, byProduct } = scoreGradients(inputs, attributes);
    const toKeys = (weights: Tensor, rows: Tensor) =>
      groupScores(weights, sizes).matmul(rows, { transposeA: true }).permute([0, 2, 1, 3]).cast(own[1]!.dtype);
    const kept = dropped(probabilities, own, attributes);
    return [toKeys(byProduct, groupQueries(own[0]!, sizes)), toKeys(kept, byOutput)];
  },
  lower: { webgpu: keyGradientWebGpu },
});

/** Gradient by the bias. */
const biasGradientOp: Op<DenseAttributes> = defineOp({
  name: 'attentionBiasGradient',
  shape: (inputs, attributes) => [extrasOf(inputs, attributes).bias!],
  decompose(inputs, attributes) {
    const { own, byScore } = scoreGradients(inputs, attributes);
    const bias = extrasOf(own, attributes).bias!;
    return [sumOver(byScore, bias).cast(bias.dtype)];
  },
});

/** Gradient by ALiBi's slopes. */
const slopeGradientOp: Op<DenseAttributes> = defineOp({
  name: 'attentionSlopeGradient',
  shape: (inputs, attributes) => [extrasOf(inputs, attributes).slopes!],
  decompose(inputs, attributes) {
    const { byScore, distance } = scoreGradients(inputs, attributes);
    return [byScore.mul(distance).sum([0, 2, 3]).neg()];
  },
});

/** Sums over the axes along which `like` was broadcast. */
function sumOver(x: Tensor, like: Tensor): Tensor {
  const extra = x.rank - like.rank;
  const axes = x.shape.flatMap((dim, i) => (i < extra || (like.shape[i - extra] === 1 && dim !== 1) ? [i] : []));
  return axes.length === 0 ? x.reshape(like.shape) : x.sum(axes).reshape(like.shape);
}

/** Gradients by every input of an attention, from its output and log-sum-exp. */
export function denseGradients(
  context: Pick<GradientContext<DenseAttributes>, 'inputs' | 'needs' | 'attributes'>,
  out: Tensor,
  logSumExp: Tensor,
  outputGradient: Tensor | undefined,
  logSumExpGradient: Tensor | undefined,
): readonly (Tensor | undefined)[] {
  const { inputs, needs, attributes } = context;
  const { H } = sizesOf(inputs);
  const g = outputGradient ?? out.mul(0);
  const taken = g.cast('f32').mul(out.cast('f32')).sum(-1).permute([0, 2, 1]);
  const delta = logSumExpGradient ? taken.sub(logSumExpGradient) : taken;
  const all = [...inputs, logSumExp, g, delta];
  const byKeys = needs[1] || needs[2] ? record(keyGradientOp, all, attributes) : [];
  const byExtra: Partial<Record<OptionalInput, () => Tensor>> = {
    bias: () => recordOne(biasGradientOp, all, attributes),
    slopes: () => recordOne(slopeGradientOp, all, attributes),
    // a sink has a probability and no value
    sinks() {
      const logit = extrasOf(inputs, attributes).sinks!.reshape([1, H, 1]).sub(logSumExp);
      return logit.exp().mul(delta).sum([0, 2]).neg();
    },
  };
  return [
    needs[0] ? recordOne(queryGradientOp, all, attributes) : undefined,
    byKeys[0],
    byKeys[1],
    ...attributes.extras.map((name, i) => (needs[3 + i] ? byExtra[name]?.() : undefined)),
  ];
}
