import type { Dim, Tensor } from '@heddle/tensor';
import type { PageBits } from '../paged/quantized-pages.ts';

/**
 * What attention reads of a key-value cache for the B sequences of a step: the keys and values that were there before the
 * step. Declared here because attention is what consumes it; caches give it.
 *
 * Cached token j of sequence b is in slot `blockTable[b, floor(j / blockSize)] * blockSize + j % blockSize`; its position in
 * the sequence is j. A contiguous cache has one block per sequence. Slots of other sequences, and those beyond a length, may
 * hold anything: they are never attended to.
 */
export interface KvView {
  /** `[slots, K, D]`, f32 or f16; as `quantizeRows` gives them where they are quantised. */
  readonly keys: Tensor;
  /** `[slots, K, V]`, of the same dtype. Without them each value is the leading part of its key, `valueDim` of it. */
  readonly values?: Tensor;
  /** V, where there are no values: how much of each key is its value. By default D, all of it. */
  readonly valueDim?: number;
  /** i32 `[B, N]`: blocks of each sequence; entries beyond its length are not read. */
  readonly blockTable: Tensor;
  /** i32 `[B]`: tokens of each sequence that were cached before the step, those before `starts` included. */
  readonly lengths: Tensor;
  /**
   * i32 `[B]`: the position that column 0 of the block table begins with, a multiple of the block size, where blocks that left
   * a window were given back. Token j is then in column `floor((j - starts[b]) / blockSize)`, and tokens before are not there.
   */
  readonly starts?: Tensor;
  /**
   * i32 `[slots]`: the position of the token in each slot, where a policy has dropped tokens before it. Token j is then the
   * j-th that is left, and windows count by these positions. Keys are stored as they are rotated.
   */
  readonly keyPositions?: Tensor;
  /** Where keys and values are integers of 8 or 4 bits: how many, and f32 or f16 `[slots, K, N]` that they are multiplied by. */
  readonly quantized?: { readonly bits: PageBits; readonly keyScales: Tensor; readonly valueScales: Tensor };
  /** Whether keys and values are kept as `rotateHeads` rotates them: attention then rotates queries and new rows, and its result back. */
  readonly rotated?: boolean;
  /** Slots in a block. */
  readonly blockSize: number;
  /** A size that no length exceeds in the step, counted from `starts`, for implementations that gather keys: at least 1. */
  readonly maxLength: Dim;
}
