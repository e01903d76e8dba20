import type { KvView } from '@heddle/attention';
import type { Dim, Tensor, Update } from '@heddle/tensor';

/** Sizes that every layer of a cache shares. */
export interface KvShape {
  readonly layers: number;
  /** K, key-value heads. */
  readonly heads: number;
  /** D, values per head. */
  readonly headDim: number;
  readonly dtype: 'f32' | 'f16';
}

/** Slots for the next tokens of a sequence, in their order. */
export interface SlotMapping {
  /** Position of the first of them. */
  readonly start: number;
  readonly slots: Int32Array;
}

/** Keys and values of a range of positions, copied to the host; `[layers][tokens, K, D]`, f16 as bits. */
export interface HostKv {
  readonly keys: readonly (Float32Array | Uint16Array)[];
  readonly values: readonly (Float32Array | Uint16Array)[];
}

/** The cached tokens of one sequence. Owned by whoever opened it; `dispose` gives its room back and is idempotent. */
export interface KvSequence extends Disposable {
  readonly id: string;
  /** Tokens that are written. */
  readonly length: number;
  /**
   * Makes room for `tokens` more behind `length` and says where they go; undefined, and nothing changed, where there is no
   * room. Calling it again gives the same slots.
   */
  reserve(tokens: number): SlotMapping | undefined;
  /** Counts `tokens` reserved ones as written: call it when the step that writes them is submitted. */
  advance(tokens: number): void;
  /** Another sequence with the same tokens; undefined where there is no room. */
  fork(id: string): KvSequence | undefined;
  /** Forgets everything from position `length` on. */
  truncate(length: number): void;
  /** Copies positions [start, end) to the host, as they are after the steps that were submitted before the call. */
  range(start: number, end: number): Promise<HostKv>;
  dispose(): void;
}

/** What a step reads of the cache and where it writes, as host values for a plan's inputs. */
export interface KvBatch {
  /** i32 `[B, N]`. */
  readonly blockTable: { readonly data: Int32Array; readonly shape: readonly [number, number] };
  /** i32 `[B]`, tokens cached before the step. */
  readonly lengths: Int32Array;
  /** i32 `[T]`, where each row's key and value go. */
  readonly slots: Int32Array;
  /** The largest length, at least 1: the value of the named dimension that `KvInputs.maxLength` stands for. */
  readonly maxLength: number;
  /** Counts the step's rows as written, once. @throws ArgumentError where a sequence has changed since; nothing is counted */
  advance(): void;
}

/** The same as tensors: placeholders of a compiled step, or device tensors of a plain call. */
export interface KvInputs {
  readonly blockTable: Tensor;
  readonly lengths: Tensor;
  readonly slots: Tensor;
  readonly maxLength: Dim;
}

/** A cache as a model's forward pass sees it in one step. */
export interface KvStep {
  /** What layer `index` held before the step. */
  layer(index: number): KvView;
  /** Writes the step's keys and values `[T, K, D]` of a layer: effects, to be returned by the step. */
  write(index: number, keys: Tensor, values: Tensor): readonly Update[];
}

export interface KvStats {
  readonly sequences: number;
  /** Tokens written, over all sequences. */
  readonly tokens: number;
  /** Tokens that fit, over all sequences. */
  readonly tokenCapacity: number;
  readonly blocksUsed: number;
  readonly blocks: number;
  /** Device memory of keys and values, allocated once. */
  readonly bytes: number;
}

/**
 * Keeps keys and values of sequences on a device between steps. Its memory is allocated when it is made; no buffer is
 * created while tokens flow. Who makes a cache disposes of it, which ends its sequences.
 */
export interface KvCache extends Disposable {
  readonly shape: KvShape;
  /** Slots in a block. */
  readonly blockSize: number;
  /** The most blocks of one sequence: the bound of N. */
  readonly maxBlocks: number;
  /** The most tokens of one sequence. */
  readonly maxSequenceTokens: number;
  /** Sequences that can be open at once at most. */
  readonly maxSequences: number;
  /** Opens an empty sequence; undefined where there is no room. @throws ArgumentError for an id that is open */
  sequence(id: string): KvSequence | undefined;
  /**
   * Lays out a step: `tokens` rows of each sequence, which must be reserved, one sequence after the other.
   * @throws ArgumentError for rows without room, a sequence that is named twice, is closed or of another cache
   */
  batch(rows: readonly { readonly sequence: KvSequence; readonly tokens: number }[]): KvBatch;
  /** The cache for a step with these inputs. */
  bind(inputs: KvInputs): KvStep;
  stats(): KvStats;
  /** @throws CacheIntegrityError naming what does not hold: block counts, ownership, lengths */
  checkIntegrity(): void;
  dispose(): void;
}
