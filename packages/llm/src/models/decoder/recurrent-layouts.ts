import type { LinearLayout, NormLayout } from './layout.ts';

/** A causal convolution of each channel over a few positions. */
export interface ConvolutionLayout {
  /** Its name in the file, without `.weight`: `[C, 1, W]`. */
  readonly site: string;
  /** C */
  readonly channels: number;
  /** W, the position itself included. */
  readonly width: number;
  readonly bias: boolean;
}

/** output(c * convolution(b * x)), of b, c and x that `inputs` gives in this order. */
export interface ShortConvolutionLayout {
  readonly kind: 'short-convolution';
  readonly inputs: LinearLayout;
  readonly convolution: ConvolutionLayout;
  readonly output: LinearLayout;
}

/**
 * A gated delta net: queries, keys and values go through a convolution and silu into the gated delta rule; output(norm(out) * silu(z)).
 * Decays are exp(-exp(logRates) * softplus(a + biases)), beta is sigmoid(b).
 */
export interface DeltaNetLayout {
  readonly kind: 'delta-net';
  readonly keyHeads: number;
  /** A multiple of the key heads, of which each serves as many neighbours. */
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** What gives q, k and v, z, b and a: layers of their own, or two, in which each key head has what belongs to it together. */
  readonly projections:
    | { readonly qkv: LinearLayout; readonly z: LinearLayout; readonly b: LinearLayout; readonly a: LinearLayout }
    | { readonly qkvz: LinearLayout; readonly ba: LinearLayout };
  readonly convolution: ConvolutionLayout;
  /** Names in the file of `[value heads]`. */
  readonly logRates: string;
  readonly biases: string;
  /** Over the values of a head. */
  readonly norm: NormLayout;
  readonly output: LinearLayout;
}

/**
 * Mamba-2: `input` gives z, then x, B and C, which go through a convolution and silu, then step sizes; output(norm(out * silu(z))).
 */
export interface Mamba2Layout {
  readonly kind: 'mamba2';
  readonly heads: number;
  readonly headDim: number;
  /** Of B and C: each serves as many neighbouring heads. */
  readonly groups: number;
  readonly stateSize: number;
  readonly input: LinearLayout;
  readonly convolution: ConvolutionLayout;
  /** Names in the file of `[heads]`. */
  readonly logRates: string;
  readonly biases: string;
  readonly skip: string;
  /** Least and largest step size. */
  readonly stepLimits: readonly [number, number];
  readonly norm: NormLayout;
  readonly output: LinearLayout;
}

export type RecurrentLayout = ShortConvolutionLayout | DeltaNetLayout | Mamba2Layout;
