import type { RotarySpec } from '@heddle/attention';
import type { LinearLayout, NormLayout } from './layout.ts';

/**
 * Multi-head latent attention: keys and values of all heads are made of one latent row of R values, which is what a cache keeps,
 * beside one rotated part of the keys that all heads share.
 * Source: https://arxiv.org/abs/2405.04434
 */
export interface LatentAttentionLayout {
  readonly kind: 'latent-attention';
  readonly heads: number;
  /** R */
  readonly latentDim: number;
  /** The part of a query's or key's head that is not rotated. */
  readonly plainDim: number;
  /** The part that is. */
  readonly rotaryDim: number;
  readonly valueDim: number;
  /** Of queries: one layer, or two with a norm between them. */
  readonly query:
    | { readonly direct: LinearLayout }
    | { readonly down: LinearLayout; readonly norm: NormLayout; readonly up: LinearLayout };
  /** To the latent row, before its norm, and the rotated part. */
  readonly down: LinearLayout;
  readonly norm: NormLayout;
  /** From the latent row to each head's plain key and value, in this order. */
  readonly up: LinearLayout;
  readonly output: LinearLayout;
  readonly rotary: RotarySpec;
  /** Whether the components that turn together are neighbours. */
  readonly interleaved: boolean;
  readonly scale: number;
}
