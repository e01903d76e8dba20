import {
  ArgumentError,
  checkArguments,
  type Fed,
  type InputSpec,
  type SymbolValues,
  type Tensor,
} from '@heddle/tensor';
import { checkCache } from './check-parts.ts';
import type { KvBatch, KvCache } from './kv-cache.ts';

/** What a compiled step over a cache takes, for the T rows of its sequences one after the other: a `Value` of each. */
export interface StepInputs<Value> {
  /** i32 `[T]`, ids. */
  readonly tokens: Value;
  /** i32 `[T]`: position of each row in its sequence. */
  readonly positions: Value;
  /** i32 `[T]`: which of the step's sequences each row belongs to. */
  readonly segments: Value;
  /** The cache's own, for `cache.bind`. */
  readonly cache: Readonly<Record<string, Value>>;
}

/** What such a step is recorded with. */
export type StepTensors = StepInputs<Tensor>;

const rows: InputSpec = { shape: ['T'], dtype: 'i32' };

/**
 * The inputs and bounds of a step that takes `StepTensors`, for the options of `compile`.
 *
 * ```ts
 * const step = compile(({ tokens, cache: inputs }: StepTensors) => record(tokens, cache.bind(inputs)), { device, ...stepOptions(cache, 64) });
 * const { next } = await step.run(...stepFeeds(cache.batch([{ sequence, tokens: ids.length }]), ids));
 * ```
 * @param maxTokens most rows of one step
 * @throws ArgumentError
 */
export function stepOptions(
  cache: KvCache,
  maxTokens: number,
): { readonly inputs: [StepInputs<InputSpec>]; readonly symbols: Readonly<Record<string, number>> } {
  checkCache('stepOptions', cache);
  checkArguments('stepOptions', 'size', { maxTokens });
  return {
    inputs: [{ tokens: rows, positions: rows, segments: rows, cache: cache.inputs }],
    symbols: { ...cache.symbols, T: maxTokens },
  };
}

/**
 * What such a step is run with: the batch as the cache lays it out, and the tokens of its rows. They must stay as they are until
 * the run has resolved.
 * @param tokens ids of all rows, in the order of the batch
 * @throws ArgumentError where their number is not that of the batch
 */
export function stepFeeds(
  batch: KvBatch,
  tokens: Int32Array,
): readonly [feeds: [StepInputs<Fed>], options: { readonly symbols: SymbolValues }] {
  checkArguments('stepFeeds', 'object', { batch });
  const { inputs, positions, segments, sizes } = batch;
  checkArguments('stepFeeds', 'object', { 'batch.inputs': inputs, 'batch.sizes': sizes });
  checkArguments('stepFeeds', 'numbers', { 'batch.positions': positions, 'batch.segments': segments });
  if (!(tokens instanceof Int32Array))
    throw new ArgumentError(
      `stepFeeds: tokens must be an Int32Array, got ${Object.prototype.toString.call(tokens).slice(8, -1)}`,
    );
  if (tokens.length !== positions.length)
    throw new ArgumentError(`stepFeeds: the batch has ${positions.length} rows, got ${tokens.length} tokens`);
  return [[{ tokens, positions, segments, cache: inputs }], { symbols: sizes }];
}
