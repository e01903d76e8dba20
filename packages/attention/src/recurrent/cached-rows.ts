import type { Tensor } from '@heddle/tensor';

/**
 * Rows that a cache keeps of the tokens before a step, by slot. Declared here because short convolutions consume it; caches give
 * it. Slots of other sequences may hold anything: they are never taken.
 */
export interface CachedRows {
  /** `[slots, heads, width]`, f32 or f16: heads times width is the number of channels. */
  readonly rows: Tensor;
  /** i32 `[B, N]`: blocks of each sequence. Token j is in slot `blockTable[b, floor(j / blockSize)] * blockSize + j % blockSize`. */
  readonly blockTable: Tensor;
  /** i32 `[B]`: tokens of each sequence before the step. */
  readonly lengths: Tensor;
  /** i32 `[B]`: the position that column 0 of the block table begins with, a multiple of the block size; 0 by default. */
  readonly starts?: Tensor;
  readonly blockSize: number;
}
