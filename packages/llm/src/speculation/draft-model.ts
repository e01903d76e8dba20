import { flash } from '@heddle/attention';
import { type KvCache, pagedCache } from '@heddle/kvcache';
import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { ModelDrafter } from './model-drafter.ts';
import type { DraftedEngine, Speculation } from './speculation.ts';

/** Options of `draftModel`. */
export interface DraftModelOptions {
  /** Most tokens that are guessed at once. Default 4. */
  readonly maxDrafts?: number;
  /** Makes the cache of the model's `kvShape`. Default `pagedCache`, as large as the engine's sequences at their longest. */
  readonly cache?: (sizes: {
    readonly shape: CausalLm['kvShape'];
    readonly maxSequences: number;
    readonly maxSequenceTokens: number;
    readonly maxBatchTokens: number;
  }) => KvCache;
}

/**
 * Guesses what a small model of the same vocabulary would write (https://arxiv.org/abs/2211.17192), drawing with the noise of the
 * request itself: where both models agree about the probabilities they draw the same token. The engine's tokens are those that come
 * without.
 *
 * The model stays the caller's, and must outlive the engine; each engine has a cache of its own for it.
 * @throws ArgumentError; opening an engine throws it where the model is on another device or has a larger vocabulary
 * @example openEngine(model, { speculation: draftModel(small) })
 */
export function draftModel(model: CausalLm, options: DraftModelOptions = {}): Speculation {
  checkArguments('draftModel', 'object', { model });
  checkArguments('draftModel', 'object', { 'model.kvShape': model.kvShape });
  checkOptions('draftModel', options, ['maxDrafts', 'cache']);
  const { maxDrafts = 4 } = options;
  if (!(Number.isInteger(maxDrafts) && maxDrafts >= 1 && maxDrafts <= 64))
    throw new ArgumentError(`draftModel: maxDrafts must be an integer from 1 to 64, got ${String(maxDrafts)}`);
  return {
    name: 'draft model',
    maxDrafts,
    instant: false,
    open: (engine) => new ModelDrafter(model, cacheFor(model, engine, options.cache), flash(), engine),
  };
}

function cacheFor(model: CausalLm, engine: DraftedEngine, make: DraftModelOptions['cache']): KvCache {
  if (model.device !== engine.model.device)
    throw new ArgumentError('draftModel: the model is on another device than that of the engine');
  const [own, known] = [model.config.vocabularySize, engine.model.config.vocabularySize];
  if (own > known)
    throw new ArgumentError(
      `draftModel: needs a model of the same vocabulary, got ${own} tokens where there are ${known}`,
    );
  const { maxSequences, maxBatchTokens } = engine;
  const maxSequenceTokens = Math.min(engine.maxSequenceTokens, model.config.maxPositions);
  const sizes = { shape: model.kvShape, maxSequences, maxSequenceTokens, maxBatchTokens };
  return make?.(sizes) ?? pagedCache(model.device, { ...sizes, share: false });
}
