import type { RandomKey, Tensor } from '@heddle/tensor';
import type { MaskMod, ScoreMod } from '../flex/trace.ts';

/**
 * How queries attend to keys. Query l of L stands at position `l + S - L`: the queries are the last L of the S keys.
 *
 * Scores are made in this order: scale, softcap, ALiBi, bias, `scoreMod`; then what is masked is left out.
 */
export interface AttentionSpec {
  /** A query sees keys up to its own position. */
  readonly causal?: boolean;
  /** Only keys less than `window` positions back are seen; without `causal` also all that come after the query. */
  readonly window?: number;
  /** Attention-sink tokens: keys in front that are seen in spite of the `window`, which it needs (https://arxiv.org/abs/2309.17453). */
  readonly keepFirst?: number;
  /** f32 `[H]`: the logit of a key without a value, one per head, which takes part in the softmax. */
  readonly sinks?: Tensor;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** Scores lose slope * distance (https://arxiv.org/abs/2108.12409): with the paper's slopes, or f32 `[H]` of one's own. */
  readonly alibi?: boolean | Tensor;
  /** Factor on the scores; by default 1 / sqrt(D). */
  readonly scale?: number;
  /** f32 or f16, broadcast to `[B, H, L, S]`: added to the scores. */
  readonly bias?: Tensor;
  /** bool, broadcast to `[B, H, L, S]`: the keys that may be seen. */
  readonly mask?: Tensor;
  /** i32 `[B]`: keys of each sequence; those behind are not seen. */
  readonly keyLengths?: Tensor;
  /**
   * i32 `[B, S]`: sequences that lie one after the other in a row of the batch, so that nothing is padded. A query sees keys of
   * its own segment; places with a negative one see nothing and are not seen. A query's segment is that of the key at its
   * position. See `segmentIds`.
   */
  readonly segments?: Tensor;
  /** Probabilities are dropped at random, and the others rescaled by 1 / (1 - p). */
  readonly dropout?: AttentionDropout;
  /**
   * A score function of one's own, traced once and computed inside the kernels (https://arxiv.org/abs/2412.05496).
   * Differentiable, also by the float tensors that it uses.
   */
  readonly scoreMod?: ScoreMod;
  /** Which keys a query sees, as a function of their places; kernels pass over tiles of which nothing is seen. */
  readonly maskMod?: MaskMod;
}

/**
 * Dropout of probabilities. Which ones are dropped is a function of the seed, the sequence, the head and the places of query
 * and key: the same in the backward pass, in a recomputation and on every executor, and never held in memory by a kernel.
 */
export interface AttentionDropout {
  /** How likely a probability is dropped, in [0, 1); taken to the next multiple of 2^-16. */
  readonly p: number;
  /** A number, or u32 `[2]` where it changes from run to run; see `randomKey` and `foldKey` of `@heddle/tensor`. */
  readonly seed: RandomKey;
}
