import { arange, type Dim, multiplyDims, sizeScalar, subtractDims, type Tensor, where } from '@heddle/tensor';
import { replayFunctions, type TracedFunctions } from '../flex/trace.ts';
import { type DenseAttributes, type DenseSizes, extrasOf, sizesOf } from './arguments.ts';
import { dropoutFactors } from './dropout.ts';
import { lowestSeenScore } from './mask-value.ts';
import { withPlaces } from './places.ts';
import { sameSegment } from './segments.ts';

/** `[B, L, H, D]` as `[B, K, G * L, D]`, G query heads to a key-value head, in f32. */
export function groupQueries(x: Tensor, { B, L, H, K, D }: DenseSizes): Tensor {
  const G = H / K;
  return x
    .cast('f32')
    .reshape([B, L, K, G, D])
    .permute([0, 2, 3, 1, 4])
    .reshape([B, K, multiplyDims(L, G), D]);
}

/** `[B, K, G * L, D]` as `[B, L, H, D]`. */
export function ungroupQueries(x: Tensor, { B, L, H, K, D }: DenseSizes): Tensor {
  return x
    .reshape([B, K, H / K, L, D])
    .permute([0, 3, 1, 2, 4])
    .reshape([B, L, H, D]);
}

/** `[B, S, K, D]` as `[B, K, S, D]`, in f32; and back. */
export function groupKeys(x: Tensor): Tensor {
  return x.cast('f32').permute([0, 2, 1, 3]);
}

/** One number for each head, query and key as one for each key-value head, query of its group, and key. */
export function groupScores(x: Tensor, { B, L, S, H, K }: DenseSizes): Tensor {
  return x.reshape([B, K, multiplyDims(L, H / K), S]);
}

/** The scores of an attention. */
export interface Scores {
  /** f32 `[B, H, L, S]`. */
  readonly scores: Tensor;
  /** The same before the score function. */
  readonly unmodified: Tensor;
  /** What the scores are multiplied by in gradients, for what came before the softcap; undefined without one. */
  readonly slope: Tensor | undefined;
  /** The same for what came before the score function; undefined where there is none, or none that is `differentiated`. */
  readonly modSlope: Tensor | undefined;
  /** bool, broadcasts to `[B, H, L, S]`; undefined where every key is seen. */
  readonly seen: Tensor | undefined;
  /** f32 `[L, S]`: positions between query and key. */
  readonly distance: Tensor;
}

/** Scores and mask in tensor operations. */
export function scoresOf(inputs: readonly Tensor[], attributes: DenseAttributes, functions?: TracedFunctions): Scores {
  const sizes = sizesOf(inputs);
  const { B, L, S, H } = sizes;
  const [q, k] = inputs as [Tensor, Tensor];
  const { bias, slopes } = extrasOf(inputs, attributes);
  const { softcap } = attributes;
  let scores = groupQueries(q, sizes)
    .matmul(groupKeys(k), { transposeB: true })
    .mul(attributes.scale)
    .reshape([B, H, L, S]);
  let slope: Tensor | undefined;
  if (softcap !== undefined) {
    const capped = scores.div(softcap).tanh();
    slope = capped.mul(capped).neg().add(1);
    scores = capped.mul(softcap);
  }
  const back = distanceBack(q, L, S);
  const distance = back.abs().cast('f32');
  if (slopes) scores = scores.sub(distance.mul(slopes.reshape([H, 1, 1])));
  if (bias) scores = scores.add(bias.cast('f32'));
  const seen = seenKeys(inputs, attributes, back);
  if (!functions) {
    const raised = bias ? scores.maximum(lowestSeenScore) : scores;
    return { scores: raised, unmodified: scores, slope, modSlope: undefined, seen, distance };
  }
  const made = replayFunctions(functions, withPlaces(scores, sizes), inputs.slice(3 + attributes.extras.length));
  const shown = functions.score ? and(seen, isNotHidden(made.score)) : seen;
  return {
    // those of keys that are seen, as in the kernels
    scores: made.score.maximum(lowestSeenScore),
    unmodified: scores,
    slope,
    modSlope: made.slope,
    seen: and(shown, made.seen),
    distance,
  };
}

/** A score of minus infinity hides its key, as a mask does. */
const isNotHidden = (scores: Tensor): Tensor => scores.equal(-Infinity).not();
const and = (a: Tensor | undefined, b: Tensor | undefined): Tensor | undefined => (a && b ? a.and(b) : (a ?? b));

/** i32 `[L, S]`: how many positions a key lies before a query. */
function distanceBack(q: Tensor, L: Dim, S: Dim): Tensor {
  const position = arange(q.device, L).add(sizeScalar(q.device, subtractDims(S, L), 'i32'));
  return position.reshape([L, 1]).sub(arange(q.device, S).reshape([1, S]));
}

function seenKeys(inputs: readonly Tensor[], attributes: DenseAttributes, back: Tensor): Tensor | undefined {
  const { causal, window, keepFirst } = attributes;
  const sizes = sizesOf(inputs);
  const { B, S } = sizes;
  const { mask, keyLengths, segments, bias } = extrasOf(inputs, attributes);
  const key = arange(back.device, S);
  const near = window === undefined ? undefined : back.less(window);
  const rules = [
    causal ? back.greaterEqual(0) : undefined,
    near && keepFirst !== undefined ? near.or(key.less(keepFirst)) : near,
    keyLengths && key.less(keyLengths.reshape([B, 1, 1, 1])),
    segments && sameSegment(segments, sizes),
    mask,
    bias && isNotHidden(bias),
  ].filter((rule) => rule !== undefined);
  return rules.length === 0 ? undefined : rules.reduce((a, b) => a.and(b));
}

/** Probabilities, or what is multiplied by them, after dropout. */
export function dropped(x: Tensor, inputs: readonly Tensor[], attributes: DenseAttributes): Tensor {
  const { dropoutKeys } = extrasOf(inputs, attributes);
  return dropoutKeys ? x.mul(dropoutFactors(dropoutKeys, attributes.dropout!, sizesOf(inputs))) : x;
}

/** exp(x) where a key is seen, otherwise 0. */
export function seenExp(x: Tensor, seen: Tensor | undefined): Tensor {
  return seen ? where(seen, where(seen, x, 0).exp(), 0) : x.exp();
}
