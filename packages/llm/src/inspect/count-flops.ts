import { type AttentionSizes, type ModelSizes, stateProducts } from './model-sizes.ts';
import { activeShare, layerOf, partOf, sizeOf } from './weight-parts.ts';

/** Floating-point operations of one layer: two for each multiplication that is added to a sum. */
export interface LayerFlops {
  /** Attention: its projections, and scores with weighted sums of values. */
  readonly attention: number;
  /** Of these, scores and weighted sums, which grow with the length. */
  readonly scores: number;
  /** All else. */
  readonly rest: number;
}

/** Of a whole model. */
export interface ModelFlops extends LayerFlops {
  /** The head, for the one row of each sequence whose logits are wanted. */
  readonly head: number;
  readonly total: number;
}

/** Multiplications of one token with the weights of a layer, by what they are for. */
interface TokenProducts {
  readonly attention: number;
  readonly rest: number;
}

/**
 * Operations of matrix products, layer by layer and in all; what is done once for a value (norms, activations, softmax, rotary
 * embedding) is not counted.
 *
 * @param queries how many tokens are computed of each sequence, its last ones
 * @param length tokens of each sequence, with those
 */
export function countFlops(
  sizes: ModelSizes,
  { batch, queries, length }: { readonly batch: number; readonly queries: number; readonly length: number },
): { readonly layers: readonly LayerFlops[]; readonly model: ModelFlops } {
  const products = tokenProducts(sizes);
  const layers = sizes.layers.map(({ attention }, index) => {
    const { attention: projections, rest } = products[index]!;
    const scores = attention ? batch * scoreFlops(attention, queries, length) : 0;
    return { attention: 2 * batch * queries * projections + scores, scores, rest: 2 * batch * queries * rest };
  });
  const sum = (of: (flops: LayerFlops) => number) => layers.reduce((total, flops) => total + of(flops), 0);
  const head = 2 * batch * sizes.vocabularySize * sizes.hiddenSize;
  const outside = 2 * batch * queries * products.outside;
  const [attention, rest] = [sum((flops) => flops.attention), sum((flops) => flops.rest) + outside];
  const model = { attention, scores: sum((flops) => flops.scores), rest, head, total: attention + rest + head };
  return { layers, model };
}

/**
 * Every weight with two axes or more multiplies each token once, except for tables of embeddings, which are looked up. States of
 * recurrences are counted as they are computed token by token.
 */
function tokenProducts(sizes: ModelSizes): readonly TokenProducts[] & { outside: number } {
  const layers = sizes.layers.map((layer) => ({ attention: 0, rest: stateProducts(layer) }));
  let outside = 0;
  for (const [name, shape] of sizes.shapes) {
    const part = partOf(name);
    if (shape.length < 2 || name.endsWith('bias') || part === 'embedding' || part === 'head') continue;
    const index = layerOf(name);
    const products = sizeOf(shape) * activeShare(name, index === undefined ? undefined : sizes.layers[index]);
    const layer = index === undefined ? undefined : layers[index];
    if (layer) layer[part === 'attention' ? 'attention' : 'rest'] += products;
    else outside += products;
  }
  return Object.assign(layers, { outside });
}

/** Each pair of a query and a key that it sees: a product of the keys' width, and one of the values'. */
function scoreFlops({ heads, keyDim, valueDim, window }: AttentionSizes, queries: number, length: number): number {
  return 2 * heads * (keyDim + valueDim) * seenPairs(queries, length, window ?? length);
}

/** Pairs of the last `queries` of `length` positions with keys that are not after them and less than `window` back. */
function seenPairs(queries: number, length: number, window: number): number {
  const all = (upTo: number) => {
    const short = Math.min(upTo, window);
    return (short * (short + 1)) / 2 + (upTo - short) * window;
  };
  return all(length) - all(length - queries);
}
