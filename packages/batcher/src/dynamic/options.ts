/// <reference lib="esnext.disposable" preserve="true" />
import type { BatchObserver, DynamicFigures } from './dynamic-statistics.ts';
import type { Failed } from './item-failure.ts';

/** What `run` is told beside the batch. */
export interface BatchContext<I> {
  readonly items: readonly I[];
  /** What `keyOf` said of them. */
  readonly key: string;
  /** Aborts when every item of the batch was given up by its caller. */
  readonly signal: AbortSignal;
}

/** How `dynamicBatcher` works, whatever its batches are. */
export interface BatchingOptions<I> {
  /** Most items in a batch. */
  readonly maxBatchSize: number;
  /** Longest time an item waits for others, in ms. With 0 a free runner takes what there is. */
  readonly maxWaitMs: number;
  /** Most items that wait; more are rejected with ERR_QUEUE_FULL. Default 1024. */
  readonly maxQueue?: number;
  /** What can go together: only items of one key share a batch. Default all. */
  readonly keyOf?: (item: I) => string;
  /** What an item costs, tokens for example, where a batch has a `maxBatchCost`. */
  readonly costOf?: (item: I) => number;
  readonly maxBatchCost?: number;
  /** Batches that run at a time. Default 1. */
  readonly concurrency?: number;
  /** Waiting that one level of priority is worth, in ms. Default 1,000; `Infinity` makes priorities strict. */
  readonly ageingMs?: number;
  /** Told of every batch and of what becomes of every item: `prometheusBatches(...)`, or your own. */
  readonly observers?: readonly BatchObserver[];
  /** Time in ms. Default `performance.now`. */
  readonly clock?: () => number;
}

/** How `dynamicBatcher` works. `I` are items, `O` answers, `B` what `collate` makes of items. */
export interface DynamicBatcherOptions<I, O, B = readonly I[]> extends BatchingOptions<I> {
  /**
   * Answers a batch: one result per item, in order; `failed(reason)` fails only its item. If it throws, all its items
   * fail with what it threw. The type that it gives its batch (or that `collate` takes) is the type of the items.
   */
  readonly run: (batch: B, context: BatchContext<I>) => Promise<readonly (O | Failed)[]>;
  /** Makes the batch that `run` takes: `padded(...)`, `packed(...)` or your own. Default the items as they are. */
  readonly collate?: (items: readonly I[]) => B;
}

/** The same, where batches are what `collate` makes. */
export interface CollatingBatcherOptions<I, O, B> extends BatchingOptions<I> {
  readonly collate: (items: readonly I[]) => B;
  readonly run: (batch: B, context: BatchContext<I>) => Promise<readonly (O | Failed)[]>;
}

/** The same, where batches are the items as they are. */
export interface PlainBatcherOptions<I, O> extends BatchingOptions<I> {
  readonly collate?: undefined;
  readonly run: (items: readonly I[], context: BatchContext<I>) => Promise<readonly (O | Failed)[]>;
}

/** What one call may add. */
export interface ItemOptions {
  /** Gives the item up: its promise rejects with the signal's reason at once. */
  readonly signal?: AbortSignal;
  /** Higher goes first. Default 0. */
  readonly priority?: number;
  /** The item is given up with ERR_DEADLINE after so many ms. */
  readonly deadlineMs?: number;
}

/** Call it with an item to get its answer. */
export interface DynamicBatcher<I, O> extends AsyncDisposable {
  /** Rejects with RejectedError at once (ERR_QUEUE_FULL, ERR_TOO_LARGE, ERR_CLOSED), or with what became of the item. */
  (item: I, options?: ItemOptions): Promise<O>;
  /** Runs what waits without waiting for more; resolves when everything that was taken until then has its answer. */
  drain(): Promise<void>;
  /** Takes no more items, and drains. */
  close(): Promise<void>;
  figures(): DynamicFigures;
}
