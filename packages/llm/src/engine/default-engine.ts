import { flash } from '@heddle/attention';
import { continuousScheduler } from '@heddle/batcher';
import { contiguousCache } from '@heddle/kvcache';
import type { CausalLm } from '../models/causal-lm.ts';
import { greedy, type Sampler } from '../sampler.ts';
import { createEngine, type Engine } from './engine.ts';

export interface EngineOptions {
  /** Sequences that run at once; more wait. Default 8. */
  readonly maxSequences?: number;
  /** Tokens of one sequence, prompt and generated. Default, and at most, the model's positions. */
  readonly maxSequenceTokens?: number;
  /** Token rows of one step; longer prompts are computed in chunks. Default 512. */
  readonly maxBatchTokens?: number;
  /** For requests that name none. Default `greedy()`. */
  readonly sampler?: Sampler;
}

/**
 * An engine over a model with the usual parts: flash attention, a contiguous cache, first come first served, greedy. The
 * cache, `maxSequences` x `maxSequenceTokens` tokens of it, is allocated here. The model stays the caller's.
 * @throws ArgumentError, BatcherError `ERR_ARGUMENT` for bounds that are no positive integers; OutOfMemoryError; then
 *   nothing is left on the device
 */
export function openEngine(model: CausalLm, options: EngineOptions = {}): Engine {
  const { device, config, kvShape } = model;
  const { maxSequences = 8, maxBatchTokens = 512, sampler = greedy() } = options;
  const maxSequenceTokens = Math.min(options.maxSequenceTokens ?? config.maxPositions, config.maxPositions);
  const cache = contiguousCache(device, { ...kvShape, maxSequences, maxSequenceTokens });
  try {
    return createEngine({
      device,
      model,
      attention: flash(),
      cache,
      scheduler: (capacity) => continuousScheduler({ maxBatchTokens, maxSequences, capacity }),
      sampler,
      maxBatchTokens,
    });
  } catch (error) {
    cache.dispose();
    throw error;
  }
}
