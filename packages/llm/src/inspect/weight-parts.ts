import { byteSize } from '@heddle/tensor';
import { storedAs } from '../models/safetensors-weights.ts';
import type { WeightDType } from '../models/weight-file.ts';
import type { LayerSizes, ModelSizes } from './model-sizes.ts';

/** Parts that the weights of a model belong to. */
export const weightParts = ['embedding', 'attention', 'recurrent', 'feedForward', 'norms', 'head', 'other'] as const;
export type WeightPart = (typeof weightParts)[number];

/** A number for each part, and their sum. */
export type PartTotals = Readonly<Record<WeightPart | 'total', number>>;

/** The first pattern that a weight's name has says its part: norms before the layers that they stand in. */
const patterns: readonly (readonly [RegExp, WeightPart])[] = [
  [/(?:norm|(?:^|\.)ln_\w+)(?:\.\d+)?\.(?:weight|bias)$/, 'norms'],
  [/\.per_layer_(?:input_gate|projection|model_projection)\./, 'feedForward'],
  [/(?:^|\.)(?:embed_\w+|wte|wpe)\.weight$/, 'embedding'],
  [/(?:^|\.)lm_head\./, 'head'],
  [/\.(?:self_attn|attn|attention)\./, 'attention'],
  [/\.(?:linear_attn|mamba|conv)\./, 'recurrent'],
  [/\.(?:mlp|feed_forward|block_sparse_moe|shared_mlp|experts|router)\./, 'feedForward'],
];

/** The part that a weight of that name belongs to. */
export function partOf(name: string): WeightPart {
  return patterns.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
}

/** The layer that a weight of that name belongs to. */
export function layerOf(name: string): number | undefined {
  const index = /(?:^|\.)(?:layers|h)\.(\d+)\./.exec(name)?.[1];
  return index === undefined ? undefined : Number(index);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Sums a number of each weight by part. */
export function totalsByPart(
  { shapes }: Pick<ModelSizes, 'shapes'>,
  numberOf: (shape: readonly number[], name: string) => number,
): PartTotals {
  const totals = Object.fromEntries([...weightParts, 'total'].map((part) => [part, 0])) as Record<
    WeightPart | 'total',
    number
  >;
  for (const [name, shape] of shapes) {
    const number = numberOf(shape, name);
    totals[partOf(name)] += number;
    totals.total += number;
  }
  return totals;
}

/** Bytes of a weight on a device, where matrices are stored in `dtype` as `loadModel` does. */
export function storedBytes(shape: readonly number[], dtype: WeightDType): number {
  return sizeOf(shape) * byteSize[storedAs(shape, dtype)];
}

/** The share of a weight that computes one token: less than 1 where it is of experts. */
export function activeShare(name: string, layer: LayerSizes | undefined): number {
  if (!layer?.experts || !/\.experts\./.test(name)) return 1;
  return layer.experts.perToken / layer.experts.count;
}
