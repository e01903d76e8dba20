import type { Dim, Tensor } from '@heddle/tensor';
import type { PageBits } from '../paged/quantized-pages.ts';

/**
 * What attention reads of a key-value cache for the B sequences of a step: the keys and values that were there before the
 * step. Declared here because attention is what consumes it; caches give it.
 *
 * Cached token j of sequence b is in slot `blockTable[b, floor(j / blockSize)] * blockSize + j % blockSize`; its position in
 * the sequence is j. A contiguous cache has one block per sequence.
 */
export interface KvView {
  /** `[slots, K, D]`, f32 or f16; as `quantizeRows` gives them where they are quantised. */
  readonly keys: Tensor;
  /** `[slots, K, D]`, of the same dtype. */
  readonly values: Tensor;
  /** i32 `[B, N]`: blocks of each sequence; entries beyond its length are not read. */
  readonly blockTable: Tensor;
  /** i32 `[B]`: tokens of each sequence that were cached before the step. */
  readonly lengths: Tensor;
  /** Where keys and values are integers of 8 or 4 bits: how many, and f32 or f16 `[slots, K, N]` that they are multiplied by. */
  readonly quantized?: { readonly bits: PageBits; readonly keyScales: Tensor; readonly valueScales: Tensor };
  /** Slots in a block. */
  readonly blockSize: number;
  /** A size that no length exceeds in the step, for implementations that gather keys: at least 1. */
  readonly maxLength: Dim;
}
