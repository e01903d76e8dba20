import type { RotarySpec } from '@heddle/attention';
import type { WeightSource } from '../weight-source.ts';
import type { LatentAttentionLayout } from './latent-layout.ts';
import type { RecurrentLayout } from './recurrent-layouts.ts';

/** A linear layer. */
export interface LinearLayout {
  /** Its name in the file, without `.weight`. */
  readonly site: string;
  readonly inSize: number;
  readonly outSize: number;
  /** Whether it has a bias: `'open'` where its configuration says nothing, and the file settles it. */
  readonly bias: boolean | 'open';
  /** Whether Hugging Face's files have the weight as `[in, out]`, as GPT-2's Conv1D writes it. */
  readonly transposed?: boolean;
}

/** A normalisation over the last axis. */
export interface NormLayout {
  readonly kind: 'rms' | 'layer';
  /** Its name in the file, without `.weight`; a norm without one has no weight. */
  readonly site?: string;
  readonly size: number;
  readonly epsilon: number;
  /** Whether the file has the weight less 1, as Gemma's do. */
  readonly lessOne?: boolean;
  /** Whether a layer norm has a bias. */
  readonly bias?: boolean;
}

export type ActivationName = 'silu' | 'gelu' | 'gelu-tanh' | 'relu';

/** Attention of queries to the keys and values of their own and earlier positions. */
export interface AttentionLayout {
  readonly kind: 'attention';
  /** H, a multiple of K. */
  readonly heads: number;
  /** K */
  readonly keyValueHeads: number;
  /** D; H x D need not be the size of the model. */
  readonly headDim: number;
  /**
   * What gives queries, keys and values: layers of their own, or one for all three, in this order. Without `value` values are what
   * `key` gives; without `key` the layer reads what `sharedWith` has written.
   */
  readonly projections:
    | { readonly query: LinearLayout; readonly key?: LinearLayout; readonly value?: LinearLayout }
    | { readonly queryKeyValue: LinearLayout };
  readonly output: LinearLayout;
  /** Norms of queries, keys and values before they are rotated: of each head, or of all heads at once. */
  readonly headNorms?: {
    readonly over: 'head' | 'all';
    readonly query?: NormLayout;
    readonly key?: NormLayout;
    readonly value?: NormLayout;
  };
  /** How queries and keys are rotated; not at all without it. */
  readonly rotary?: RotarySpec;
  /** Whether neighbours are rotated together (0 with 1), not the halves of a head (0 with D / 2). */
  readonly interleaved?: boolean;
  /** Factor on the scores; by default 1 / sqrt(D). */
  readonly scale?: number;
  /** Only keys less than `window` positions back are seen; with `bidirectional` also as many ahead. */
  readonly window?: number;
  /** Whether rows see those after them, too; then the model computes batches of whole texts, and generates nothing. */
  readonly bidirectional?: boolean;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** Name of a logit per head `[H]` that takes part in the softmax and has no value. */
  readonly sinks?: string;
  /** Whether scores lose a slope of their head times the distance, in place of other positions. */
  readonly alibi?: boolean;
  /** Queries grow with the position: by 1 + beta * log(1 + floor(position / positions)). */
  readonly queryGrowth?: { readonly beta: number; readonly positions: number };
  /** Whether `query` gives a gate after the query of each head; sigmoid(gate) is a factor on what is attended to. */
  readonly gated?: boolean;
  /** The layer whose keys and values are read in place of ones of its own. */
  readonly sharedWith?: number;
}

/** down(activation(gate(x)) * up(x)); gate and up may be one layer, in this order. */
export interface GatedLayout {
  readonly kind: 'gated';
  readonly activation: ActivationName;
  readonly projections: { readonly gate: LinearLayout; readonly up: LinearLayout } | { readonly gateUp: LinearLayout };
  readonly down: LinearLayout;
}

/** down(activation(up(x))). */
export interface PlainLayout {
  readonly kind: 'plain';
  readonly activation: ActivationName;
  readonly up: LinearLayout;
  readonly down: LinearLayout;
}

/** The matrices of all experts for one purpose, `[experts, out, in]` in memory. */
export interface ExpertMatrixLayout {
  /** Its name, without `.weight` and `.bias`. */
  readonly site: string;
  readonly inSize: number;
  readonly outSize: number;
  /** How Hugging Face's files have it. */
  readonly weight: WeightSource;
  /** How they have its bias `[experts, out]`, where there is one. */
  readonly bias?: WeightSource;
}

/** Gated feed-forwards of which a router chooses some for each row; the result is their weighted sum. */
export interface ExpertsLayout {
  readonly kind: 'experts';
  readonly router: LinearLayout;
  readonly count: number;
  readonly perToken: number;
  /** Whether the weights of the chosen ones are divided by their sum. */
  readonly normalize: boolean;
  /** What scores are made of the router's logits. Default softmax. */
  readonly scores?: 'softmax' | 'sigmoid';
  /** Name of what is added to the scores for the choice, `[experts]`. */
  readonly correction?: string;
  /** Groups of neighbouring experts, of which each row chooses from some. */
  readonly groups?: { readonly count: number; readonly chosen: number };
  /** Factor on the weights. Default 1. */
  readonly scale?: number;
  /** What every row has beside its experts; with a gate, times sigmoid(gate(x)). */
  readonly shared?: { readonly part: GatedLayout; readonly gate?: LinearLayout };
  /** Of the gate, or both clamped: (up + 1) * gate * sigmoid(alpha * gate). */
  readonly activation: ActivationName | { readonly limit: number; readonly alpha: number };
  readonly gate: ExpertMatrixLayout;
  readonly up: ExpertMatrixLayout;
  readonly down: ExpertMatrixLayout;
}

/** A branch of the residual stream: sum(x + multiplier * after(part(before(x)))). */
export interface BranchLayout<P> {
  readonly part: P;
  readonly before?: NormLayout;
  readonly after?: NormLayout;
  /** Norm of the sum, which is what the branch leaves, as in the first Transformer (https://arxiv.org/abs/1706.03762). */
  readonly sum?: NormLayout;
  /** How likely a value of what is added is left out in training, in [0, 1). Default 0. */
  readonly dropout?: number;
  /** Default 1. */
  readonly multiplier?: number;
}

export type MixerLayout = AttentionLayout | LatentAttentionLayout | RecurrentLayout;
export type FeedForwardLayout = GatedLayout | PlainLayout | ExpertsLayout;

/** What a layer adds of the embeddings that each token has for it: after(projection(activation(gate(x)) * embedding)). */
export interface PerLayerLayout {
  readonly gate: LinearLayout;
  readonly activation: ActivationName;
  readonly projection: LinearLayout;
  readonly after: NormLayout;
}

/**
 * Embeddings of each token for each layer: the mean, times a root of 2, of `[V, layers * size]` looked up and of the norm of what
 * `projection` makes of the embedding of the model.
 */
export interface PerLayerEmbeddingLayout {
  /** Name of the table in the file, without `.weight`. */
  readonly site: string;
  /** V of the table. */
  readonly vocabularySize: number;
  /** Values for each layer. */
  readonly size: number;
  /** Factor on what is looked up. */
  readonly multiplier: number;
  readonly projection: LinearLayout;
  /** Factor on what is projected. */
  readonly projectionMultiplier: number;
  readonly norm: NormLayout;
}

/** One layer of a decoder: first what mixes positions, then what each position does by itself. */
export interface LayerLayout {
  readonly mixer: BranchLayout<MixerLayout>;
  readonly feedForward: BranchLayout<FeedForwardLayout>;
  /** Whether the feed-forward takes what the mixer takes, not what it leaves; what both add is added all the same. */
  readonly parallel?: boolean;
  /** Where the decoder has embeddings for each layer. */
  readonly perLayer?: PerLayerLayout;
  /** Name of a factor `[1]` on what the layer leaves. */
  readonly scalar?: string;
}

/** What a decoder is made of, and what its weights are called: everything that its forward pass looks at. */
export interface DecoderLayout {
  /** V */
  readonly vocabularySize: number;
  /** E */
  readonly hiddenSize: number;
  readonly embedding: {
    /** Its name in the file, without `.weight`: `[V, E]`. */
    readonly site: string;
    /** Factor on the embeddings. Default 1. */
    readonly multiplier?: number;
    /** Learned embeddings of the positions that are added, `[size, E]`. */
    readonly positions?: { readonly site: string; readonly size: number };
    /** Whether sines and cosines of the positions are added (https://arxiv.org/abs/1706.03762). */
    readonly sinusoidal?: boolean;
  };
  readonly perLayerEmbedding?: PerLayerEmbeddingLayout;
  readonly layers: readonly LayerLayout[];
  readonly finalNorm: NormLayout;
  readonly head: {
    /** Its name in the file, without `.weight`: `[V, E]`. A tied head is the embedding. */
    readonly site: string;
    readonly bias?: boolean;
    /** Logits are divided by it. Default 1. */
    readonly divisor?: number;
    /** Logits become softcap * tanh(logit / softcap). */
    readonly softcap?: number;
  };
}
