import { checkArguments, checkOptions, type Tensor } from '@heddle/tensor';
import type { MaskMod, ScoreMod } from '../flex/trace.ts';
import type { KvView } from './kv-view.ts';

/**
 * How rows of a step attend. Rows of all sequences are packed (a ragged or varlen batch): one after the other, without padding.
 *
 * Scores are made in this order: scale, softcap, `scoreMod`; then what is masked is left out.
 */
export interface AttendSpec {
  /** i32 `[T]`: which of the B sequences a row belongs to; a negative row attends to nothing and gives 0. */
  readonly segments: Tensor;
  /** i32 `[T]`: position of each row in its sequence. A row sees the rows of its own sequence at its position and before. */
  readonly positions: Tensor;
  /** Factor on the scores; by default 1 / sqrt(D). */
  readonly scale?: number;
  /** Only keys less than `window` positions back are seen. */
  readonly window?: number;
  /** Attention-sink tokens: positions below it are seen in spite of the `window`, which it needs (https://arxiv.org/abs/2309.17453). */
  readonly keepFirst?: number;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** Learned sink logits, f32 `[H]`: one more key per head, without a value, that takes part in the softmax. */
  readonly sinks?: Tensor;
  /** V, where values are the leading part of each key (`v` of `attend` is undefined): by default D, all of it. */
  readonly valueDim?: number;
  /**
   * What becomes of a score, as in `attention`; scores stand in `[1, H, T, S]`, `place.b` is the row's segment, and `place.q` and
   * `place.k` are positions in the sequence.
   */
  readonly scoreMod?: ScoreMod;
  /** Which keys a row sees of those that it would see, as a function of the same places. */
  readonly maskMod?: MaskMod;
}

/**
 * An implementation of attention over a cache and a step's own rows, as a value: pass one to a model or engine.
 *
 * `attend` takes q `[T, H, D]`, the step's own k `[T, K, D]` and v `[T, K, V]` (H a multiple of K; without v, values are the leading
 * `valueDim` of each key) and what the cache held before the step (none: the rows see each other only), and gives `[T, H, V]` in
 * the dtype of q. A row is changed by nothing but what it sees, whatever the rest holds.
 */
export interface AttentionKernel {
  readonly name: string;
  /** Why this kernel cannot do it, for a cache as `kv` where one is given; undefined where it can. */
  supports(spec: AttendSpec, kv?: KvView): string | undefined;
  attend(q: Tensor, k: Tensor, v: Tensor | undefined, kv: KvView | undefined, spec: AttendSpec): Tensor;
  /**
   * The same with the log-sum-exp of each row's scores, f32 `[T, H]` (sinks included; the lowest f32 for rows that see nothing), for
   * `mergeAttention` over parts of the keys. Not every kernel has it.
   */
  attendWithLse?(
    q: Tensor,
    k: Tensor,
    v: Tensor | undefined,
    kv: KvView | undefined,
    spec: AttendSpec,
  ): { readonly out: Tensor; readonly lse: Tensor };
}

/** @throws ArgumentError naming `operation` for what is no kernel */
export function checkKernels(operation: string, kernels: Readonly<Record<string, unknown>>): void {
  checkArguments(operation, 'object', kernels);
  for (const [name, kernel] of Object.entries(kernels) as [string, AttentionKernel][]) {
    checkArguments(operation, 'text', { [`${name}.name`]: kernel.name });
    checkArguments(operation, 'function', { [`${name}.supports`]: kernel.supports, [`${name}.attend`]: kernel.attend });
    checkArguments(operation, 'function?', { [`${name}.attendWithLse`]: kernel.attendWithLse });
  }
}

/** @throws ArgumentError naming `operation` for what `attend` does not take */
export function checkAttend(
  operation: string,
  { q, k, v, kv, spec }: Readonly<Record<'q' | 'k' | 'v' | 'kv' | 'spec', unknown>>,
): void {
  checkArguments(operation, 'tensor', { q, k });
  checkArguments(operation, 'tensor?', { v });
  checkArguments(operation, 'object?', { kv });
  checkOptions(operation, spec, specKinds);
  if (kv !== undefined) checkOptions(`${operation}: kv`, kv, viewKinds);
}

const specKinds = {
  segments: 'tensor',
  positions: 'tensor',
  scale: 'finite?',
  window: 'size?',
  keepFirst: 'size?',
  softcap: 'positive?',
  sinks: 'tensor?',
  valueDim: 'size?',
  scoreMod: 'function?',
  maskMod: 'function?',
} as const satisfies Readonly<Record<keyof AttendSpec, string>>;

const viewKinds = {
  keys: 'tensor',
  values: 'tensor?',
  valueDim: 'size?',
  blockTable: 'tensor',
  lengths: 'tensor',
  starts: 'tensor?',
  keyPositions: 'tensor?',
  quantized: 'object?',
  rotated: 'boolean?',
  blockSize: 'size',
  maxLength: 'anything',
} as const satisfies Readonly<Record<keyof KvView, string>>;
