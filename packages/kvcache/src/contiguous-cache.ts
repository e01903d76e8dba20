import { ArgumentError, checkArguments, checkOptions, type Device, type OptionKinds } from '@heddle/tensor';
import { BlockCache } from './blocks/block-cache.ts';
import { BlockPool } from './blocks/block-pool.ts';
import { type CheckpointOptions, checkpointSlots } from './checkpoint-options.ts';
import type { KvCache } from './kv-cache.ts';
import { checkedFormat, checkShape, type FormatOf, isState, type KvShape, type QuantizedFormat } from './kv-shape.ts';

/** Options of `contiguousCache`. */
export interface ContiguousCacheOptions extends CheckpointOptions {
  /** What the layers keep; a model's `kvShape`, or `keyValueShape` of its sizes. */
  readonly shape: KvShape;
  /** Sequences that can be open at once. */
  readonly maxSequences: number;
  /** Tokens of each; its memory is set aside whether used or not. */
  readonly maxSequenceTokens: number;
  /** As of `pagedCache`, so that an engine's sizes can be passed on: here any step fits, and every sequence at its largest. */
  readonly maxBatchTokens?: number;
  readonly tokens?: number;
  /** In what format rows are kept, all or by store, other than their own dtype. */
  readonly format?: QuantizedFormat | FormatOf;
}

/** What every cache is made with, for `checkOptions`. */
export const cacheKinds: Readonly<Record<keyof ContiguousCacheOptions, OptionKinds[string]>> = {
  shape: 'object',
  maxSequences: 'size',
  maxSequenceTokens: 'size',
  maxBatchTokens: 'size?',
  tokens: 'size?',
  format: 'anything',
  checkpointEvery: 'size?',
  checkpoints: 'whole?',
};

/**
 * A cache with one contiguous block of `maxSequenceTokens` slots for each sequence: simple, and without waste where all
 * sequences are about as long as the bound. Windows are not made use of: everything is kept. Prompts share nothing.
 * @throws ArgumentError for sizes that are no positive integers, a shape that cannot be held; OutOfMemoryError, then nothing was
 *   allocated
 */
export function contiguousCache(device: Device, options: ContiguousCacheOptions): KvCache {
  checkArguments('contiguousCache', 'device', { device });
  checkOptions('contiguousCache', options, cacheKinds);
  const { shape, maxSequences, maxSequenceTokens } = options;
  checkShape('contiguousCache', shape);
  checkSlots('contiguousCache', maxSequences * maxSequenceTokens);
  const { rule, group } = checkpointSlots(options, 1);
  const rows = Object.values(shape.layers).some((layer) => Object.values(layer).some((store) => !isState(store)));
  return new BlockCache(device, {
    shape,
    blockSize: maxSequenceTokens,
    maxSequences,
    maxSequenceTokens,
    maxBatchTokens: undefined,
    groups: [
      ...(rows ? [{ kind: 'all' as const, window: undefined, keepFirst: 0, pool: new BlockPool(maxSequences) }] : []),
      ...group,
    ],
    groupOf: (store) => (rows && isState(store) ? 1 : 0),
    formatOf: checkedFormat('contiguousCache', shape, options.format),
    checkpoints: rule,
    eviction: undefined,
  });
}

/** Slots are told by an i32. @throws ArgumentError for more of them */
export function checkSlots(operation: string, slots: number): void {
  if (slots >= 2 ** 31)
    throw new ArgumentError(`${operation}: must have room for fewer than 2^31 tokens over all sequences, got ${slots}`);
}
