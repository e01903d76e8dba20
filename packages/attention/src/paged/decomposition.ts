import { arange, concat, type Dim, multiplyDims, stopGradient, type Tensor, take, where } from '@heddle/tensor';
import { lowestScore } from '../dense/mask-value.ts';
import { scoreProduct, weightedSum } from '../dense/weighted-sum.ts';
import type { PackedAttributes } from './packed-attention.ts';
import { dequantizeRows } from './quantized-pages.ts';

/** Keys that rows may see, as `[K, S, D]`, and which rows see them, as `[T, S]`. */
interface KeyBlock {
  readonly keys: Tensor;
  readonly values: Tensor;
  readonly seen: Tensor;
}

/**
 * Packed attention in tensor operations. Every row is scored against every cached key of every sequence and masked, which
 * costs B times what is needed; kernels do better.
 */
export function decomposePacked(inputs: readonly Tensor[], attributes: PackedAttributes): Tensor {
  const q = inputs[0]!;
  const [T, H, D] = q.shape as [Dim, number, number];
  const K = inputs[1]!.shape[1] as number;
  const G = H / K;
  const own = ownRows(inputs, attributes);
  const blocks = attributes.cache ? [cachedRows(inputs, attributes), own] : [own];

  const queries = q
    .cast('f32')
    .reshape([T, K, G, D])
    .permute([1, 0, 2, 3])
    .reshape([K, multiplyDims(T, G), D]);
  const scores = blocks.map(({ keys }) => scoreProduct(queries, keys));
  const products = concat(scores, -1);
  const S = products.shape[2]!;
  const seen = concat(
    blocks.map((block) => block.seen),
    -1,
  ).reshape([1, T, 1, S]);

  // what is not seen is 0 before anything is made of it, so that nothing comes of it in the backward pass either
  const scaled = where(seen, products.reshape([K, T, G, S]), 0).mul(attributes.scale);
  const { softcap } = attributes;
  const capped = softcap === undefined ? scaled : scaled.div(softcap).tanh().mul(softcap);
  const masked = where(seen, capped, lowestScore);
  const highest = stopGradient(masked.max(-1, { keepDims: true }));
  const weights = where(seen, masked.sub(highest).exp(), 0);
  const sum = weights.sum(-1, { keepDims: true });
  // a row that sees nothing has no weights: 0 / 1; selected once more, so that no gradient that is not finite reaches the sum
  const shares = where(seen, weights.div(where(sum.equal(0), 1, sum)), 0);
  const probabilities = shares.reshape([K, multiplyDims(T, G), S]);
  let start: Dim = 0;
  const parts = blocks.map(({ keys, values }) => {
    const end = blocks.length === 1 || start !== 0 ? S : keys.shape[1]!;
    const part = weightedSum(probabilities.slice(-1, start, end), values);
    start = end;
    return part;
  });
  return parts
    .reduce((a, b) => a.add(b))
    .reshape([K, T, G, D])
    .permute([1, 0, 2, 3])
    .reshape([T, H, D])
    .cast(q.dtype);
}

/** The step's own rows: those of the row's sequence, at its position and before. */
function ownRows(inputs: readonly Tensor[], { window }: PackedAttributes): KeyBlock {
  const [, k, v, segments, positions] = inputs;
  const T = k!.shape[0]!;
  const row = (x: Tensor) => x.reshape([T, 1]);
  const column = (x: Tensor) => x.reshape([1, T]);
  let seen = row(segments!).equal(column(segments!)).and(row(segments!).greaterEqual(0));
  seen = seen.and(column(positions!).lessEqual(row(positions!)));
  if (window !== undefined) seen = seen.and(row(positions!).sub(column(positions!)).less(window));
  return { keys: k!.cast('f32').permute([1, 0, 2]), values: v!.cast('f32').permute([1, 0, 2]), seen };
}

/** What the cache held: `maxLength` keys of each sequence, those up to its length and within the window seen. */
function cachedRows(inputs: readonly Tensor[], { window, cache }: PackedAttributes): KeyBlock {
  const [, , , segments, positions, pool, valuePool, blockTable, lengths, keyScales, valueScales] = inputs;
  const { blockSize, maxLength: S, bits } = cache!;
  const [T, B] = [segments!.shape[0]!, lengths!.shape[0]!];
  const device = pool!.device;
  const token = arange(device, S);
  const block = token.div(blockSize);
  const slots = take(blockTable!, block, 1)
    .mul(blockSize)
    .add(token.sub(block.mul(blockSize)))
    .flatten();
  const gathered = (x: Tensor, scales: Tensor | undefined) => {
    const rows = take(x, slots);
    const floats = bits ? dequantizeRows({ words: rows, scales: take(scales!, slots) }, bits) : rows.cast('f32');
    return floats.permute([1, 0, 2]);
  };

  const [row, sequence, key] = [
    [T, 1, 1],
    [1, B, 1],
    [1, 1, S],
  ];
  let seen = segments!.reshape(row).equal(arange(device, B).reshape(sequence));
  seen = seen.and(token.reshape(key).less(lengths!.reshape(sequence)));
  if (window !== undefined) seen = seen.and(positions!.reshape(row).sub(token.reshape(key)).less(window));
  return {
    keys: gathered(pool!, keyScales),
    values: gathered(valuePool!, valueScales),
    seen: seen.reshape([T, multiplyDims(B, S)]),
  };
}
