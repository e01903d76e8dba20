import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { type DataCursor, ItemOrder, type OrderOptions, orderKinds } from './cursor.ts';
import type { TokenSource } from './token-source.ts';

/** Rows of tokens and of those that follow them, i32 `[rows, length]`. */
export interface LanguageBatch {
  readonly tokens: { readonly data: Int32Array; readonly shape: readonly [number, number] };
  readonly targets: { readonly data: Int32Array; readonly shape: readonly [number, number] };
}

/** Batches, one after the other, that know where they stand. */
export interface BatchStream<B> extends AsyncIterable<B> {
  /** What comes after the last batch that was given: save it, and pass it to go on from there. */
  readonly cursor: DataCursor;
}

export interface TokenBatchOptions extends OrderOptions {
  readonly rows: number;
  /** Tokens of a row. */
  readonly length: number;
  /** Leaves out a last batch of fewer rows; false where not named. */
  readonly dropLast?: boolean;
}

/**
 * Batches of rows cut from a stream of tokens: each token is learned once in an epoch, in an order that is the same for the same
 * seed, everywhere. Rows go on from one epoch to the next, so all batches but the very last are full.
 * @throws ArgumentError; TrainingError `ERR_EMPTY_DATA` for fewer tokens than a row takes, `ERR_DATA`
 */
export function tokenBatches(source: TokenSource, options: TokenBatchOptions): BatchStream<LanguageBatch> {
  checkArguments('tokenBatches', 'object', { source });
  checkArguments('tokenBatches', 'function', { 'source.read': source.read });
  checkArguments('tokenBatches', 'whole', { 'source.length': source.length });
  checkOptions('tokenBatches', options, orderKinds);
  const { rows, length, dropLast = false } = options;
  checkSizes('tokenBatches', { rows, length });
  const order = new ItemOrder('tokenBatches', Math.floor((source.length - 1) / length), options);
  const next = async (): Promise<LanguageBatch | undefined> => {
    const windows: Int32Array[] = [];
    for (let index = order.peek(); windows.length < rows && index !== undefined; index = order.peek()) {
      windows.push(await source.read(index * length, length + 1));
      order.advance();
    }
    if (windows.length === 0 || (dropLast && windows.length < rows)) return undefined;
    const shape = [windows.length, length] as const;
    const [tokens, targets] = [new Int32Array(windows.length * length), new Int32Array(windows.length * length)];
    for (const [row, window] of windows.entries()) {
      tokens.set(window.subarray(0, length), row * length);
      targets.set(window.subarray(1), row * length);
    }
    return { tokens: { data: tokens, shape }, targets: { data: targets, shape } };
  };
  return streamOf(order, next);
}

/** @throws ArgumentError for sizes that are no whole numbers from 1 */
export function checkSizes(name: string, sizes: Readonly<Record<string, number>>): void {
  for (const [option, value] of Object.entries(sizes))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new ArgumentError(`${name}: ${option} must be a whole number from 1, got ${value}`);
}

/** A stream of what `next` gives, whose cursor moves with what was taken. */
export function streamOf<B>(order: ItemOrder, next: () => Promise<B | undefined>): BatchStream<B> {
  let { cursor } = order;
  return {
    get cursor() {
      return cursor;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const batch = await next();
        if (batch === undefined) return;
        ({ cursor } = order);
        yield batch;
      }
    },
  };
}
