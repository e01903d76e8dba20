import type { RotarySpec } from '@heddle/attention';
import type {
  ActivationName,
  AttentionLayout,
  BranchLayout,
  DecoderLayout,
  GatedLayout,
  LayerLayout,
  LinearLayout,
  NormLayout,
} from '../../models/decoder/layout.ts';
import type { DecoderSizes } from './sizes.ts';

type Bias = LinearLayout['bias'];

/** What tells the layers of one family from those of another, where weights have the names that most families share. */
export interface StandardLayer {
  readonly activation: ActivationName;
  /** Where norms stand: before each part, after it, or both. Default before. */
  readonly norms?: 'before' | 'after' | 'around';
  /** Whether files have the weights of norms less 1. */
  readonly lessOne?: boolean;
  /** Of queries, keys and values. Default open. */
  readonly inputBias?: Bias;
  /** Of the output of attention. Default open. */
  readonly outputBias?: Bias;
  /** Default open. */
  readonly mlpBias?: Bias;
  /** Whether queries, keys and values are one layer, and gate and up another. */
  readonly fused?: boolean;
  /** Norms of queries and keys: of each head, or of all heads at once. */
  readonly headNorms?: 'head' | 'all';
  readonly rotary?: RotarySpec | undefined;
  /** Whether neighbours are rotated together, not the halves of a head. */
  readonly interleaved?: boolean;
  readonly window?: number | undefined;
  /** Whether rows see those after them, too. */
  readonly bidirectional?: boolean | undefined;
  readonly softcap?: number | undefined;
  readonly scale?: number | undefined;
  readonly queryGrowth?: AttentionLayout['queryGrowth'] | undefined;
  /** Factor on what each part adds to the residual stream. */
  readonly multiplier?: number;
}

/** What a family does before its layers and after them. */
export interface StandardEnds {
  readonly embeddingMultiplier?: number;
  readonly divisor?: number;
  readonly softcap?: number | undefined;
  readonly lessOne?: boolean;
}

/** A decoder of rotary attention and gated feed-forwards, under the names that most families share. */
export function standardLayout(
  sizes: DecoderSizes,
  layer: (index: number) => StandardLayer,
  { embeddingMultiplier, divisor, softcap, lessOne }: StandardEnds = {},
): DecoderLayout {
  const { vocabularySize, hiddenSize, layers, epsilon } = sizes;
  return {
    vocabularySize,
    hiddenSize,
    embedding: { site: 'model.embed_tokens', ...given({ multiplier: embeddingMultiplier }) },
    layers: Array.from({ length: layers }, (_, i) => standardLayer(sizes, `model.layers.${i}`, layer(i))),
    finalNorm: { kind: 'rms', site: 'model.norm', size: hiddenSize, epsilon, ...given({ lessOne }) },
    head: { site: 'lm_head', ...given({ divisor, softcap }) },
  };
}

/** One layer of it; `name` stands before the names of its weights. */
export function standardLayer(
  sizes: DecoderSizes,
  name: string,
  options: StandardLayer,
): LayerLayout & { readonly mixer: BranchLayout<AttentionLayout> } {
  const { hiddenSize, epsilon } = sizes;
  const { norms = 'before', lessOne, multiplier } = options;
  const norm = (site: string): NormLayout => ({
    kind: 'rms',
    site: `${name}.${site}`,
    size: hiddenSize,
    epsilon,
    ...given({ lessOne }),
  });
  const around = {
    before: [{ before: norm('input_layernorm') }, { before: norm('post_attention_layernorm') }],
    after: [{ after: norm('post_attention_layernorm') }, { after: norm('post_feedforward_layernorm') }],
    around: [
      { before: norm('input_layernorm'), after: norm('post_attention_layernorm') },
      { before: norm('pre_feedforward_layernorm'), after: norm('post_feedforward_layernorm') },
    ],
  }[norms];
  return {
    mixer: { part: standardAttention(sizes, `${name}.self_attn`, options), ...around[0], ...given({ multiplier }) },
    feedForward: { part: gatedFeedForward(sizes, `${name}.mlp`, options), ...around[1], ...given({ multiplier }) },
  };
}

/** Its attention. */
export function standardAttention(sizes: DecoderSizes, name: string, options: StandardLayer): AttentionLayout {
  const { hiddenSize: E, heads: H, keyValueHeads: K, headDim: D, epsilon } = sizes;
  const { inputBias = 'open', outputBias = 'open', fused, headNorms, lessOne } = options;
  const { rotary, interleaved, window, bidirectional, softcap, scale, queryGrowth } = options;
  const linear = (part: string, outSize: number): LinearLayout => ({
    site: `${name}.${part}`,
    inSize: E,
    outSize,
    bias: inputBias,
  });
  const norm = (part: string, heads: number): NormLayout => ({
    kind: 'rms',
    site: `${name}.${part}`,
    size: headNorms === 'all' ? heads * D : D,
    epsilon,
    ...given({ lessOne }),
  });
  return {
    kind: 'attention',
    heads: H,
    keyValueHeads: K,
    headDim: D,
    projections: fused
      ? { queryKeyValue: linear('qkv_proj', (H + 2 * K) * D) }
      : { query: linear('q_proj', H * D), key: linear('k_proj', K * D), value: linear('v_proj', K * D) },
    output: { site: `${name}.o_proj`, inSize: H * D, outSize: E, bias: outputBias },
    ...(headNorms && { headNorms: { over: headNorms, query: norm('q_norm', H), key: norm('k_norm', K) } }),
    ...given({ rotary, interleaved, window, bidirectional, softcap, scale, queryGrowth }),
  };
}

/** A gated feed-forward. */
export function gatedFeedForward(
  { hiddenSize: E, intermediateSize: F }: Pick<DecoderSizes, 'hiddenSize' | 'intermediateSize'>,
  name: string,
  { activation, fused, mlpBias = 'open' }: Pick<StandardLayer, 'activation' | 'fused' | 'mlpBias'>,
): GatedLayout {
  const linear = (part: string, inSize: number, outSize: number): LinearLayout => ({
    site: `${name}.${part}`,
    inSize,
    outSize,
    bias: mlpBias,
  });
  return {
    kind: 'gated',
    activation,
    projections: fused
      ? { gateUp: linear('gate_up_proj', E, 2 * F) }
      : { gate: linear('gate_proj', E, F), up: linear('up_proj', E, F) },
    down: linear('down_proj', F, E),
  };
}

/** An object without its undefined properties, for types with exact optional properties. */
function given<T extends object>(fields: T): { [P in keyof T]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
