/// <reference lib="esnext.disposable" preserve="true" />
import { BatchRunner } from './batch-runner.ts';
import type {
  CollatingBatcherOptions,
  DynamicBatcher,
  DynamicBatcherOptions,
  ItemOptions,
  PlainBatcherOptions,
} from './options.ts';

/**
 * Collects single items into batches for any batched function: a batch is due when it is full or its oldest item
 * has waited `maxWaitMs`. Within a batch's key, and between due batches, higher priorities go first.
 *
 * The type of the items is the one that `run` gives its batch, or `collate` its items. Without one there is none, and no
 * item is taken.
 *
 * @throws BatcherError ERR_ARGUMENT
 *
 * @example
 * const lengthOf = dynamicBatcher({
 *   maxBatchSize: 32,
 *   maxWaitMs: 5,
 *   run: async (texts: readonly string[]) => texts.map((text) => text.length),
 * });
 * console.log(await lengthOf('heddle')); // 6
 */
export function dynamicBatcher<I = never, O = unknown, B = unknown>(
  options: CollatingBatcherOptions<I, O, B>,
): DynamicBatcher<I, O>;
export function dynamicBatcher<I = never, O = unknown>(options: PlainBatcherOptions<I, O>): DynamicBatcher<I, O>;
export function dynamicBatcher<I, O, B>(
  options: CollatingBatcherOptions<I, O, B> | PlainBatcherOptions<I, O>,
): DynamicBatcher<I, O> {
  const runner = new BatchRunner(options as DynamicBatcherOptions<I, O, B>);
  return Object.assign(async (item: I, itemOptions: ItemOptions = {}) => runner.submit(item, itemOptions), {
    drain: () => runner.drain(),
    close: () => runner.close(),
    figures: () => runner.figures(),
    [Symbol.asyncDispose]: () => runner.close(),
  });
}
