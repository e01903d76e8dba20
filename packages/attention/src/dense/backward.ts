import {
  concat,
  defineOp,
  type GradientContext,
  type Op,
  record,
  recordOne,
  stack,
  type Tensor,
  where,
} from '@heddle/tensor';
import { readGradientWebGpu } from '../flex/captured-gradients.wgsl.ts';
import { biasReads, capturedReads, slopeReads } from '../flex/captured-reads.wgsl.ts';
import { capturedGradient } from '../flex/derivatives.ts';
import type { TracedFunctions } from '../flex/trace.ts';
import { type DenseAttributes, extrasOf, type OptionalInput, sizesOf } from './arguments.ts';
import { dropped, groupKeys, groupQueries, groupScores, scoresOf, seenExp, ungroupQueries } from './scores.ts';
import { finite, weightedSum } from './weighted-sum.ts';
import { keyGradientWebGpu, queryGradientWebGpu } from './wgsl/backward.wgsl.ts';

/**
 * What the gradients of an attention take behind the inputs of the attention itself: the gradient with respect to the output `[B, L, H, D]`,
 * and in one tensor, f32 `[3, B, H, L]`, because kernels bind few buffers, each query's highest score, the logarithm of its sum
 * below that, and delta, the share that its softmax takes off. Probabilities are computed again from scores and log-sum-exp, as in https://arxiv.org/abs/2205.14135.
 */
function behind(inputs: readonly Tensor[]) {
  const [outputGradient, statistics] = inputs.slice(-2) as [Tensor, Tensor];
  const [top, logSum, delta] = [plane(statistics, 0), plane(statistics, 1), plane(statistics, 2)];
  return { own: inputs.slice(0, -2), top, logSum, outputGradient, delta };
}

/** One of the tensors that stand in one. */
export const plane = (x: Tensor, index: number): Tensor => x.slice(0, index, index + 1).reshape(x.shape.slice(1));

/**
 * Probabilities and the gradients with respect to the scores, by what they were before the score function and by the product, all f32
 * `[B, H, L, S]`, and what scores are made of.
 */
function scoreGradients(inputs: readonly Tensor[], attributes: DenseAttributes, functions?: TracedFunctions) {
  const { own, top, logSum, outputGradient, delta } = behind(inputs);
  const sizes = sizesOf(own);
  const { B, L, S, H } = sizes;
  const { scores, unmodified, slope, modSlope, seen, distance } = scoresOf(own, attributes, functions);
  const row = (x: Tensor) => x.reshape([B, H, L, 1]);
  const probabilities = seenExp(scores.sub(row(top)).sub(row(logSum)), seen);
  const byOutput = groupQueries(outputGradient, sizes);
  const byKept = byOutput.matmul(groupKeys(own[2]!), { transposeB: true }).reshape([B, H, L, S]);
  const byProbability = dropped(byKept, own, attributes);
  // of a key that is not seen nothing comes, whatever its score, its value and what a score function makes of it are
  const ofSeen = (x: Tensor) => (seen ? where(seen, x, 0) : x);
  const byScore = ofSeen(probabilities.mul(byProbability.sub(row(delta))));
  const bySum = modSlope ? ofSeen(byScore.mul(modSlope)) : byScore;
  const byProduct = (slope ? ofSeen(bySum.mul(slope)) : bySum).mul(attributes.scale);
  return { sizes, own, byOutput, probabilities, unmodified: ofSeen(unmodified), byScore, bySum, byProduct, distance };
}

type GradientOp = Op<DenseAttributes>;

/** The operations of the gradients of attentions without score functions, or of one with its own. */
export interface GradientOps {
  readonly byQuery: GradientOp;
  readonly byKeys: GradientOp;
  readonly byBias: GradientOp;
  readonly bySlopes: GradientOp;
  /** By float tensors that the score function captured; undefined for others. */
  readonly byCaptured: readonly (GradientOp | undefined)[];
}

export function gradientOps(functions?: TracedFunctions): GradientOps {
  // attributes say what the functions compute
  const made = functions ? { key: 'of functions' } : {};
  /** Gradient with respect to q. */
  const byQuery: GradientOp = defineOp({
    name: 'attentionQueryGradient',
    ...made,
    shape: (inputs) => [inputs[0]!],
    decompose(inputs, attributes) {
      const { sizes, own, byProduct } = scoreGradients(inputs, attributes, functions);
      return [
        ungroupQueries(groupScores(byProduct, sizes).matmul(finite(groupKeys(own[1]!))), sizes).cast(own[0]!.dtype),
      ];
    },
    lower: { webgpu: queryGradientWebGpu(functions) },
  });
  /** Gradients with respect to k and v. */
  const byKeys: GradientOp = defineOp({
    name: 'attentionKeyGradient',
    ...made,
    shape: (inputs) => [inputs[1]!, inputs[2]!],
    decompose(inputs, attributes) {
      const { sizes, own, byOutput, probabilities, byProduct } = scoreGradients(inputs, attributes, functions);
      const toKeys = (x: Tensor) => x.permute([0, 2, 1, 3]).cast(own[1]!.dtype);
      const kept = groupScores(dropped(probabilities, own, attributes), sizes);
      const queries = finite(groupQueries(own[0]!, sizes));
      return [
        toKeys(groupScores(byProduct, sizes).matmul(queries, { transposeA: true })),
        toKeys(weightedSum(kept, byOutput, true)),
      ];
    },
    lower: { webgpu: keyGradientWebGpu(functions) },
  });
  const byBias: GradientOp = defineOp({
    name: 'attentionBiasGradient',
    ...made,
    shape: (inputs, attributes) => [extrasOf(inputs, attributes).bias!],
    decompose(inputs, attributes) {
      const { own, bySum } = scoreGradients(inputs, attributes, functions);
      const bias = extrasOf(own, attributes).bias!;
      return [sumOver(bySum, bias).cast(bias.dtype)];
    },
    lower: { webgpu: readGradientWebGpu(biasReads, functions) },
  });
  const bySlopes: GradientOp = defineOp({
    name: 'attentionSlopeGradient',
    ...made,
    shape: (inputs, attributes) => [extrasOf(inputs, attributes).slopes!],
    decompose(inputs, attributes) {
      const { bySum, distance } = scoreGradients(inputs, attributes, functions);
      return [bySum.mul(distance).sum([0, 2, 3]).neg()];
    },
    lower: { webgpu: readGradientWebGpu(slopeReads, functions) },
  });
  const byCaptured = (index: number): GradientOp =>
    defineOp({
      name: 'attentionCapturedGradient',
      key: `of captured tensor ${index}`,
      shape: (inputs, { extras }) => [inputs[3 + extras.length + index]!],
      decompose(inputs, attributes) {
        const { sizes, own, byScore, unmodified } = scoreGradients(inputs, attributes, functions);
        const captured = own.slice(3 + attributes.extras.length);
        return [capturedGradient(functions!, index, byScore, unmodified, sizes, captured)];
      },
      lower: { webgpu: readGradientWebGpu(capturedReads(index), functions) },
    });
  const captured = functions?.captured ?? [];
  return {
    byQuery,
    byKeys,
    byBias,
    bySlopes,
    byCaptured: captured.map((_, i) => (functions!.slopes?.byCaptured[i] ? byCaptured(i) : undefined)),
  };
}

/** Sums over the axes along which `like` was broadcast. */
function sumOver(x: Tensor, like: Tensor): Tensor {
  const extra = x.rank - like.rank;
  const axes = x.shape.flatMap((dim, i) => (i < extra || (like.shape[i - extra] === 1 && dim !== 1) ? [i] : []));
  return axes.length === 0 ? x.reshape(like.shape) : x.sum(axes).reshape(like.shape);
}

/** Gradients with respect to every input of an attention, from its output, highest scores and logarithms of sums. */
export function denseGradients(
  { inputs, needs, attributes }: Pick<GradientContext<DenseAttributes>, 'inputs' | 'needs' | 'attributes'>,
  [out, softmax]: readonly Tensor[],
  [outputGradient, softmaxGradient]: readonly (Tensor | undefined)[],
  ops: GradientOps,
): readonly (Tensor | undefined)[] {
  const { H } = sizesOf(inputs);
  const g = outputGradient ?? out!.mul(0);
  const taken = g.cast('f32').mul(out!.cast('f32')).sum(-1).permute([0, 2, 1]);
  // a sum of both has been made of it, the log-sum-exp: its gradient is that of either
  const delta = softmaxGradient ? taken.sub(plane(softmaxGradient, 1)) : taken;
  const all = [...inputs, g, concat([softmax!, stack([delta])], 0)];
  const byKeys = needs[1] || needs[2] ? record(ops.byKeys, all, attributes) : [];
  const byExtra: Partial<Record<OptionalInput, () => Tensor>> = {
    bias: () => recordOne(ops.byBias, all, attributes),
    slopes: () => recordOne(ops.bySlopes, all, attributes),
    // a sink has a probability and no value
    sinks() {
      const logit = extrasOf(inputs, attributes).sinks!.reshape([1, H, 1]).sub(plane(softmax!, 0));
      return logit.sub(plane(softmax!, 1)).exp().mul(delta).sum([0, 2]).neg();
    },
  };
  return [
    needs[0] ? recordOne(ops.byQuery, all, attributes) : undefined,
    byKeys[0],
    byKeys[1],
    ...attributes.extras.map((name, i) => (needs[3 + i] ? byExtra[name]?.() : undefined)),
    ...ops.byCaptured.map((op, i) =>
      op && needs[3 + attributes.extras.length + i] ? recordOne(op, all, attributes) : undefined,
    ),
  ];
}
