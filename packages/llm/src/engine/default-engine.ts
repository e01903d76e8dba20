import { flash } from '@heddle/attention';
import { continuousScheduler } from '@heddle/batcher';
import { contiguousCache } from '@heddle/kvcache';
import type { CausalLm } from '../models/causal-lm.ts';
import { greedy, type Sampler } from '../sampler.ts';
import { createEngine, type Engine } from './engine.ts';

export interface EngineOptions {
  /** Sequences that run at once; more wait. */
  readonly maxSequences?: number;
  /** Tokens of one sequence, prompt and generated; by default the model's positions. */
  readonly maxSequenceTokens?: number;
  /** Token rows of one step; longer prompts are computed in chunks. */
  readonly maxBatchTokens?: number;
  /** For requests that name none. */
  readonly sampler?: Sampler;
}

/** An engine over a model with the usual parts: flash attention, a contiguous cache, first come first served, greedy. */
export function openEngine(model: CausalLm, options: EngineOptions = {}): Engine {
  const { maxSequences = 8, maxBatchTokens = 512, sampler = greedy() } = options;
  const maxSequenceTokens = Math.min(options.maxSequenceTokens ?? model.config.maxPositions, model.config.maxPositions);
  return createEngine({
    device: model.device,
    model,
    attention: flash(),
    cache: contiguousCache(model.device, { ...model.kvShape, maxSequences, maxSequenceTokens }),
    scheduler: (capacity) => continuousScheduler({ maxBatchTokens, maxSequences, capacity }),
    sampler,
    maxBatchTokens,
  });
}
