import { arange, concat, type Dim, multiplyDims, stopGradient, type Tensor, take, where } from '@heddle/tensor';
import { lowestScore } from '../dense/mask-value.ts';
import { scoreProduct, weightedSum } from '../dense/weighted-sum.ts';
import { replayFunctions, type ScorePlace, type TracedFunctions } from '../flex/trace.ts';
import { named, type PackedAttributes, type PackedScores, packedSizes } from './attributes.ts';
import { packedPlaces } from './places.ts';
import { dequantizeRows } from './quantized-pages.ts';

/** Keys that rows may see: S of them. */
interface KeyBlock {
  /** `[K, S, D]` and `[K, S, V]`. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** i32 `[1, S]`: their positions. */
  readonly positions: Tensor;
  /** bool `[T, S]`: which rows see them, windows aside. */
  readonly seen: Tensor;
}

/**
 * Packed attention in tensor operations: output, and log-sum-exp where it is asked for. Every row is scored against every cached
 * key of every sequence and masked, which costs B times what is needed; kernels do better.
 */
export function decomposePacked(
  inputs: readonly Tensor[],
  attributes: PackedAttributes,
  functions?: TracedFunctions,
): readonly Tensor[] {
  const { q, sinks } = named(inputs, attributes);
  const { T, H, K, G, D, V } = packedSizes(inputs, attributes);
  const own = ownRows(inputs, attributes);
  const blocks = attributes.cache ? [cachedRows(inputs, attributes), own] : [own];
  const queries = q
    .cast('f32')
    .permute([1, 0, 2])
    .reshape([K, multiplyDims(G, T), D]);
  const products = concat(
    blocks.map(({ keys }) => scoreProduct(queries, keys)),
    -1,
  );
  const S = products.shape[2]!;
  const keyPositions = concat(
    blocks.map((block) => block.positions),
    -1,
  );
  const rules = concat(
    blocks.map((block) => block.seen),
    -1,
  );
  const place = packedPlaces(inputs, attributes, keyPositions);
  const captured = inputs.slice(attributes.inputs.length);
  const near = nearKeys(place, attributes);
  const shown = near ? rules.reshape([1, 1, T, S]).and(near) : rules.reshape([1, 1, T, S]);
  const unscaled = products.reshape([1, H, T, S]);
  const chosen =
    functions?.mask &&
    replayFunctions({ ...functions, score: undefined }, { score: unscaled, ...place }, captured).seen;
  const seenPlaces = chosen ? shown.and(chosen) : shown;

  // what is not seen is 0 before anything is made of it, so that nothing comes of it in the backward pass either
  const scaled = where(seenPlaces, unscaled, 0).mul(attributes.scale);
  const { softcap } = attributes;
  const capped = softcap === undefined ? scaled : scaled.div(softcap).tanh().mul(softcap);
  const scores = functions?.score
    ? replayFunctions({ ...functions, mask: undefined }, { score: capped, ...place }, captured).score
    : capped;
  const seen = functions?.score ? seenPlaces.and(scores.equal(-Infinity).not()) : seenPlaces;
  const masked = where(seen, scores, lowestScore);
  const logits = sinks?.reshape([1, H, 1, 1]);
  const top = masked.max(-1, { keepDims: true });
  const highest = stopGradient(logits ? top.maximum(logits) : top);
  const weights = where(seen, masked.sub(highest).exp(), 0);
  const total = weights.sum(-1, { keepDims: true });
  const sum = logits ? total.add(logits.sub(highest).exp()) : total;
  // a row that sees nothing has no weights: 0 / 1; selected once more, so that no gradient that is not finite reaches the sum
  const divisor = where(sum.equal(0), 1, sum);
  const probabilities = where(seen, weights.div(divisor), 0).reshape([K, multiplyDims(G, T), S]);
  let start: Dim = 0;
  const parts = blocks.map(({ keys, values }) => {
    const end = blocks.length === 1 || start !== 0 ? S : keys.shape[1]!;
    const part = weightedSum(probabilities.slice(-1, start, end), values);
    start = end;
    return part;
  });
  const joint = parts.reduce((a, b) => a.add(b));
  const out = joint.reshape([H, T, V]).permute([1, 0, 2]).cast(q.dtype);
  if (!attributes.lse) return [out];
  return [out, highest.add(divisor.log()).reshape([H, T]).permute([1, 0])];
}

/** bool `[1, 1, T, S]`: which keys a window shows; undefined without one. */
function nearKeys({ q, k }: ScorePlace, { window, keepFirst }: PackedScores): Tensor | undefined {
  if (window === undefined) return undefined;
  const near = q.sub(k).less(window);
  return keepFirst === undefined ? near : near.or(k.less(keepFirst));
}

/** The step's own rows: those of the row's sequence, at its position and before. */
function ownRows(inputs: readonly Tensor[], attributes: PackedAttributes): KeyBlock {
  const { k, v, segments, positions } = named(inputs, attributes);
  const T = k.shape[0]!;
  const row = (x: Tensor) => x.reshape([T, 1]);
  const column = (x: Tensor) => x.reshape([1, T]);
  const same = row(segments).equal(column(segments)).and(row(segments).greaterEqual(0));
  const keys = k.cast('f32').permute([1, 0, 2]);
  return {
    keys,
    values: v ? v.cast('f32').permute([1, 0, 2]) : keys.slice(-1, 0, attributes.valueDim),
    positions: column(positions),
    seen: same.and(column(positions).lessEqual(row(positions))),
  };
}

/** What the cache held: `maxLength` keys of each sequence, those up to its length. */
function cachedRows(inputs: readonly Tensor[], attributes: PackedAttributes): KeyBlock {
  const { segments, keys: pool, values: valuePool, table, lengths, ...others } = named(inputs, attributes);
  const { keyScales, valueScales, starts, keyPositions } = others;
  const { blockSize, maxLength: S, bits } = attributes.cache!;
  const [T, B] = [segments.shape[0]!, lengths!.shape[0]!];
  const device = pool!.device;
  const token = arange(device, S);
  const block = token.div(blockSize);
  // entries of the table that are not in use may be anything
  const slots = take(table!, block, 1)
    .mul(blockSize)
    .add(token.sub(block.mul(blockSize)))
    .flatten();
  const gathered = (x: Tensor, scales: Tensor | undefined) => {
    const rows = take(x, slots);
    const floats = bits ? dequantizeRows({ words: rows, scales: take(scales!, slots) }, bits) : rows.cast('f32');
    return floats.permute([1, 0, 2]);
  };
  const keys = gathered(pool!, keyScales);
  const [row, sequence, key] = [
    [T, 1, 1],
    [1, B, 1],
    [1, 1, S],
  ];
  const first = starts ? starts.reshape(sequence) : 0;
  const index = token.reshape(key).add(first);
  const mine = segments.reshape(row).equal(arange(device, B).reshape(sequence));
  const seen = mine.and(index.less(lengths!.reshape(sequence)));
  const positions = keyPositions ? take(keyPositions, slots) : index.expand([1, B, S]);
  return {
    keys,
    values: valuePool ? gathered(valuePool, valueScales) : keys.slice(-1, 0, attributes.valueDim),
    positions: positions.reshape([1, multiplyDims(B, S)]),
    seen: seen.reshape([T, multiplyDims(B, S)]),
  };
}
