import type { KvView } from '@heddle/attention';
import type { Fed, InputSpec, SymbolValues, Tensor, Update } from '@heddle/tensor';
import type { KvShape } from './kv-shape.ts';
import type { KvTierStats } from './tiers/tier-counts.ts';

/** The tokens that a new sequence will start with, so that a cache that has seen them need not be filled again. */
export interface KvPrompt {
  readonly tokens: ArrayLike<number>;
  /**
   * Only sequences of one namespace share tokens: name whatever else decides keys and values (an adapter), or whom they belong
   * to (a tenant). Default ''.
   */
  readonly namespace?: string;
  /** For eviction policies that look at it: higher is kept longer. Default 0. */
  readonly priority?: number;
  /** Whether only tokens are of use whose rows are as they were computed: where they are kept rounded, nothing is found. */
  readonly exact?: boolean;
}

/** What stores of rows held for a range of positions, on the host: `[tokens, heads, width]` by layer and name, f16 as bits. */
export type HostKv = readonly Readonly<Record<string, Float32Array | Uint16Array>>[];

/**
 * What is kept of a sequence, by layer and store, on the host, f16 as bits: rows `[tokens, heads, width]` of the positions that
 * `ranges` name, one after the other; the state after the last token, without ranges.
 */
export type HeldKv = readonly Readonly<Record<string, HeldStore>>[];
/** What a sequence holds of one store: which tokens, and their rows. */
export interface HeldStore {
  /** [start, end), ascending. */
  readonly ranges: readonly (readonly [start: number, end: number])[];
  readonly data: Float32Array | Uint16Array;
}

/** The cached tokens of one sequence. Owned by whoever opened it; `dispose` gives its memory back and is idempotent. */
export interface KvSequence extends Disposable {
  readonly id: string;
  /** Tokens that are written. */
  readonly length: number;
  /** Leading tokens whose ids the cache knows: those of a prefix it had, and what `know` has told since. */
  readonly known: number;
  /**
   * Makes sure that `tokens` more can be written after `length`; false, and nothing changed, where there is no room. Asking
   * again for what it has gives true.
   * @throws ArgumentError for a number that is none
   */
  reserve(tokens: number): boolean;
  /**
   * Tells the ids of the tokens after `known`, which are written by then. Only what is known can be shared: call it when the
   * step that computed them has succeeded.
   * @throws ArgumentError for more tokens than are written, and for ids that are no whole numbers of 32 bits
   */
  know(tokens: ArrayLike<number>): void;
  /**
   * Another sequence with the first `length` tokens, all by default; what they share is copied when one of them writes to it.
   * 'full' where no more sequences can be open. Where the cache no longer has all of them, or no state there, it has fewer: look
   * at its `length`, and compute the rest.
   * @throws ArgumentError for an id that is open, and a length beyond its own
   */
  fork(id: string, length?: number): KvSequence | 'full';
  /**
   * Forgets everything from position `length` on, or from an earlier one that can be restored. @returns the length it has now
   * @throws ArgumentError for a length beyond its own
   */
  truncate(length: number): number;
  /**
   * Forgets all full blocks in which none of these positions is, in a cache that was opened with `drops`. What is left is read at
   * its positions; the length stays, and goes on.
   * @returns tokens that are left
   * @throws ArgumentError for positions beyond the length, and in other caches
   */
  keep?(positions: Iterable<number>): number;
  /**
   * Copies the rows of positions [start, end) to the host, as they are after the steps that were submitted before the call.
   * @throws EvictedTokensError, as a rejection, naming positions that a cache with tiers has evicted
   */
  range(start: number, end: number): Promise<HostKv>;
  /**
   * All that is kept of it, as it is after the steps that were submitted before the call: what a window has given back is not
   * there. Undefined in a cache with `retain`, and in caches that cannot say.
   */
  held?(): Promise<HeldKv> | undefined;
  /** Gives its memory back. Idempotent. */
  dispose(): void;
}

/** What a sequence takes part with in a step. */
export interface KvBatchRows {
  readonly sequence: KvSequence;
  /** Rows of the step. */
  readonly tokens: number;
  /**
   * Lengths of the sequence, of those that it has in the step, that `fork` and `truncate` shall be able to go back to: their
   * states are kept as long as there is memory for checkpoints. 'end': no state is saved but that after the last row.
   */
  readonly keep?: readonly number[] | 'end';
}

/** A step as a cache lays it out, in host values. */
export interface KvBatch {
  /** For the cache's own inputs of a compiled step. They must stay as they are until the run has resolved. */
  readonly inputs: Readonly<Record<string, Fed>>;
  /** Sizes of the cache's symbols that no input shows: the `symbols` of a run. */
  readonly sizes: SymbolValues;
  /** i32 `[T]`: position of each row in its sequence. */
  readonly positions: Int32Array;
  /** i32 `[T]`: which of the step's sequences each row belongs to. */
  readonly segments: Int32Array;
  /** i32 `[W]`: rows after which states are saved, ascending; empty where no layer has states. */
  readonly saves: Int32Array;
  /**
   * Counts the step's rows as written, once: call it when the step is submitted, in the same turn.
   * @throws ArgumentError where a sequence has changed since; nothing is counted
   */
  advance(): void;
}

/** Rows of a store by slot, for layers that read their rows in ways of their own. */
export interface RowsView {
  /** `[slots, heads, width]` */
  readonly rows: Tensor;
  /** i32 `[B, N]`: blocks of each sequence. Token j is in slot `blockTable[b, floor(j / blockSize)] * blockSize + j % blockSize`. */
  readonly blockTable: Tensor;
  /** i32 `[B]`: tokens before the step. */
  readonly lengths: Tensor;
  readonly blockSize: number;
}

/** States of a store by slot, for recurrent layers. */
export interface StateView {
  /** `[slots, ...shape]`; slot 0 is zeros: the state before a first token. */
  readonly pool: Tensor;
  /** i32 `[B]`: the slot of each sequence's state before the step. */
  readonly from: Tensor;
  /**
   * i32 `[W]`: rows of the step after which the state is wanted, ascending: the last of every sequence that has rows, and others
   * anywhere before it.
   */
  readonly at: Tensor;
}

/** A cache as a model's forward pass sees it in one step. */
export interface KvStep {
  /**
   * What the stores `keys` and `values`, or `latent`, of layer `index` held before the step.
   * @throws ArgumentError where it has none
   */
  layer(index: number): KvView;
  /** What any one store of a layer held before the step. @throws ArgumentError where there is no such store */
  rows(index: number, store: string): RowsView;
  /** What a store of states of a layer held before the step. @throws ArgumentError where there is no such store */
  state(index: number, store: string): StateView;
  /**
   * Writes the step's rows `[T, heads, width]` of all stores of rows of a layer: effects, to be returned by the step.
   * @throws ArgumentError for a store that is missing or that the layer does not have
   */
  write(index: number, rows: Readonly<Record<string, Tensor>>): readonly Update[];
  /**
   * Saves the states `[W, ...shape]` of all stores of states of a layer, after the rows that `StateView.at` names: effects, to
   * be returned by the step. What is read in the step is not overwritten by it.
   * @throws ArgumentError for a store that is missing or that the layer does not have
   */
  save(index: number, states: Readonly<Record<string, Tensor>>): readonly Update[];
}

/**
 * What makes a cache lossy: rows of fewer bits (`format`), attention to the hot part of a sequence only (`retain`), tokens that
 * sequences forget between others (`drops`), prefixes that come back from 8 bits (`warm`, an option of `tiers`).
 */
export type KvLoss = 'format' | 'retain' | 'drops' | 'warm';

/** What a cache holds, and what it has done since it was opened. */
export interface KvStats {
  /** What it was opened with that changes what is computed; empty where the cache is exact. */
  readonly lossy: readonly KvLoss[];
  readonly sequences: number;
  /** Tokens written, over all sequences; shared ones count for each. */
  readonly tokens: number;
  /** Tokens that fit, over all sequences, where nothing is shared. */
  readonly tokenCapacity: number;
  readonly blocks: number;
  /** Blocks that sequences hold. */
  readonly blocksUsed: number;
  /** Blocks that no sequence holds, kept for prompts to come until their memory is needed. */
  readonly blocksCached: number;
  /** Device memory of all stores, allocated once. */
  readonly bytes: number;
  /** Tokens of prompts that were found, and that were not. */
  readonly hitTokens: number;
  readonly missTokens: number;
  /** Blocks of tokens that were forgotten to make room. */
  readonly evictions: number;
  /**
   * By tier, from the device's memory down: tokens of open sequences with the option `retain`, tokens that prompts may begin with
   * with the option `tiers`. Otherwise empty.
   */
  readonly tiers: readonly KvTierStats[];
}

/**
 * Keeps what layers need of earlier tokens on a device between steps. Its memory is allocated when it is made; no buffer is
 * created while tokens flow. Who makes a cache disposes of it, which ends its sequences.
 */
export interface KvCache extends Disposable {
  readonly shape: KvShape;
  /** Whether what is read is what was written; otherwise rows are rounded. */
  readonly exact: boolean;
  /** The most tokens of one sequence. */
  readonly maxSequenceTokens: number;
  /** Sequences that can be open at once at most: the bound of the symbol B. */
  readonly maxSequences: number;
  /** What a compiled step takes for the cache, by names that are the cache's own; T is the step's rows. */
  readonly inputs: Readonly<Record<string, InputSpec>>;
  /** Bounds of the symbolic dimensions in `inputs` but T. */
  readonly symbols: SymbolValues;
  /**
   * Opens a sequence: empty, or with as many leading tokens of the prompt as the cache still has, at most all but the last.
   * 'full' where no more can be open; 'pending' where another open sequence is computing the next tokens of this very prompt, or
   * more of it is being read from a tier: ask again later, or without a prompt. A prompt waits for tiers once at most.
   * @throws ArgumentError for an id that is open
   */
  sequence(id: string, prompt?: KvPrompt): KvSequence | 'full' | 'pending';
  /**
   * Has `tell` called whenever what a prompt was told to wait for has come, or will not. Caches that read nothing have none.
   */
  onReady?(tell: () => void): void;
  /** A prompt that was told to wait, by the id of its sequence, will not be asked for again. */
  withdraw?(id: string): void;
  /** Writes all that prompts may begin with to the store beneath the cache. Resolves when it has taken it, or said no. */
  persist?(): Promise<void>;
  /**
   * Resolves when the store beneath has taken, refused or deleted all that it was told to, also after `dispose`: from then on the
   * cache leaves it alone, and a folder can be removed.
   */
  settled?(): Promise<void>;
  /**
   * Opens a sequence of `length` tokens with what `held` gave of another one; `written` resolves when it is on the device. 'full'
   * where there is no room, undefined in a cache that takes rows by `append` only.
   * @throws ArgumentError for an id that is open, and where rows or a state are missing that the next token reads
   */
  restore?(
    id: string,
    length: number,
    held: HeldKv,
    prompt?: KvPrompt,
  ): { readonly sequence: KvSequence; readonly written: Promise<void> } | 'full' | undefined;
  /** Leading tokens of the prompt that `sequence` would find now, without waiting. Changes nothing. */
  match(prompt: KvPrompt): number;
  /**
   * Lays out a step: `tokens` rows of each sequence, which must be reserved, one sequence after the other.
   * @throws ArgumentError for rows that are not reserved, a sequence that is named twice, is closed or of another cache; for
   *   `keep` outside the step
   */
  batch(rows: readonly KvBatchRows[]): KvBatch;
  /**
   * The cache for a step with these inputs: placeholders of a compiled step, or device tensors, then with the batch's `sizes`.
   */
  bind(inputs: Readonly<Record<string, Tensor>>, sizes?: SymbolValues): KvStep;
  /** What it holds and has done. */
  stats(): KvStats;
  /** @throws CacheIntegrityError naming what does not hold: block counts, references, lengths, the tree of prefixes */
  checkIntegrity(): void;
  /** Frees its memory. Idempotent. */
  dispose(): void;
}
