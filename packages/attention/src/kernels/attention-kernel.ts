import type { Tensor } from '@heddle/tensor';
import type { KvView } from './kv-view.ts';

/** How rows of a step attend. Rows of all sequences lie one after the other, nothing is padded. */
export interface AttendSpec {
  /** i32 `[T]`: which of the B sequences a row belongs to; a negative row attends to nothing and gives 0. */
  readonly segments: Tensor;
  /** i32 `[T]`: position of each row in its sequence. A row sees the rows of its own sequence at its position and before. */
  readonly positions: Tensor;
  /** Factor on the scores; by default 1 / sqrt(D). */
  readonly scale?: number;
  /** Only keys less than `window` positions back are seen. */
  readonly window?: number;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
}

/**
 * An implementation of attention over a cache and a step's own rows, as a value: pass one to a model or engine.
 *
 * `attend` takes q `[T, H, D]`, the step's own k and v `[T, K, D]` (H a multiple of K) and what the cache held before the
 * step (none: the rows see each other only), and gives `[T, H, D]` in the dtype of q.
 */
export interface AttentionKernel {
  readonly name: string;
  /** Why this kernel cannot do it; undefined where it can. */
  supports(spec: AttendSpec): string | undefined;
  attend(q: Tensor, k: Tensor, v: Tensor, kv: KvView | undefined, spec: AttendSpec): Tensor;
}
