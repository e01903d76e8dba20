import {
  ArgumentError,
  dropout,
  foldKey,
  gelu,
  layerNorm,
  relu,
  rmsNorm,
  rsqrt,
  silu,
  square,
  type Tensor,
} from '@heddle/tensor';
import type { ForwardAdapters } from '../causal-lm.ts';
import type { Projections } from '../projections.ts';
import type { Weights } from '../weights.ts';
import type { Attend } from './attend.ts';
import type { ActivationName, LinearLayout, NormLayout } from './layout.ts';
import type { RecurrentRows } from './recurrent-rows.ts';
import type { RowRotations } from './rotations.ts';

/** What the layers of one forward pass are computed with. */
export interface PassParts {
  readonly weights: Weights;
  readonly projections: Projections;
  readonly adapters: ForwardAdapters | undefined;
  readonly rotations: RowRotations;
  readonly attend: Attend;
  readonly recurrent: RecurrentRows;
  /** Whether rows are packed `[T]`, and not a batch `[B, L]`. */
  readonly isPacked: boolean;
  /** Whether the pass goes on from a cache. */
  readonly isCached: boolean;
  /** What products and attention read. */
  readonly activations: 'f32' | 'f16';
  /** i32, of the shape of the tokens. */
  readonly positions: Tensor;
  /** u32 `[2]`, in training. */
  readonly dropoutKey: Tensor | undefined;
}

/** One forward pass over the weights of a decoder: the parts that its layers are made of. */
export class Pass {
  readonly weights: Weights;
  readonly rotations: RowRotations;
  readonly attend: Attend;
  readonly recurrent: RecurrentRows;
  readonly isPacked: boolean;
  readonly activations: 'f32' | 'f16';
  readonly positions: Tensor;
  readonly #projections: Projections;
  readonly #adapters: ForwardAdapters | undefined;
  readonly #isCached: boolean;
  readonly #dropoutKey: Tensor | undefined;

  constructor(parts: PassParts) {
    const { weights, projections, adapters, rotations, attend, recurrent, activations, positions } = parts;
    this.weights = weights;
    this.rotations = rotations;
    this.attend = attend;
    this.recurrent = recurrent;
    this.isPacked = parts.isPacked;
    this.#isCached = parts.isCached;
    this.activations = activations;
    this.positions = positions;
    this.#projections = projections;
    this.#adapters = adapters;
    this.#dropoutKey = parts.dropoutKey;
  }

  /** Whether an adapter adds to what a linear layer gives. */
  isAdapted({ site }: Pick<LinearLayout, 'site'>): boolean {
    return this.#adapters !== undefined && (this.#adapters.changes?.(site) ?? true);
  }

  /** @throws ArgumentError where the pass goes on from a cache, which `what` cannot */
  refuseCache(what: string): void {
    if (this.#isCached) throw new ArgumentError(`forward: a pass over a cache takes no ${what}`);
  }

  /** f32 `[..., out]`, with the bias that there is and what adapters add. */
  linear({ site }: Pick<LinearLayout, 'site'>, x: Tensor): Tensor {
    return this.#projections.apply(site, x, this.#adapters);
  }

  /** x with some values left out in training, other ones for each `place` in the model. */
  dropout(rate: number | undefined, place: number, x: Tensor): Tensor {
    return rate === undefined || !this.#dropoutKey ? x : dropout(x, rate, foldKey(this.#dropoutKey, place));
  }

  /** x itself where there is no norm. */
  norm(layout: NormLayout | undefined, x: Tensor): Tensor {
    if (!layout) return x;
    const { kind, site, epsilon, lessOne, bias } = layout;
    const stored = site === undefined ? undefined : this.weights.get(`${site}.weight`);
    const weight = stored && lessOne ? stored.add(1) : stored;
    if (kind === 'layer') return layerNorm(x, weight, bias ? this.weights.get(`${site}.bias`) : undefined, epsilon);
    if (weight) return rmsNorm(x, weight, epsilon);
    return x.mul(rsqrt(square(x).mean(-1, { keepDims: true }).add(epsilon)));
  }
}

/** The function of that name. */
export const activations: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = {
  silu,
  relu,
  gelu: (x) => gelu(x),
  'gelu-tanh': (x) => gelu(x, { approximate: 'tanh' }),
};
