import { type AttentionKernel, flash, singleRows } from '@heddle/attention';
import { type Capacity, continuousScheduler, type Scheduler } from '@heddle/batcher';
import { type KvCache, type PrefixTierOptions, pagedCache } from '@heddle/kvcache';
import { ArgumentError, checkArguments, type Device, OutOfMemoryError } from '@heddle/tensor';
import type { CausalLm, ForwardHooks } from '../models/causal-lm.ts';
import { greedy, type Sampler } from '../sampler.ts';
import { stageSampling } from '../sampling/device-sampling.ts';
import type { LogitStage } from '../sampling/stages/logit-stage.ts';
import type { Speculation } from '../speculation/speculation.ts';
import { type CacheSize, cacheSize } from './cache-size.ts';
import { createEngine, type Engine } from './engine.ts';
import type { ScheduledGeneration } from './request.ts';
import type { RequestAdapters } from './request-adapters.ts';
import { chunkFor, type DeterministicSteps } from './steps/step-parts.ts';
import type { StepTimes } from './steps/step-trace.ts';

/** Options of `openEngine`. */
export interface EngineOptions {
  /** Sequences that run at once; more wait. Default 8. */
  readonly maxSequences?: number;
  /**
   * Tokens of one sequence, prompt and generated. Default the model's context, or as much of it as the cache holds; at most the
   * context.
   */
  readonly maxSequenceTokens?: number;
  /** Token rows of one step; longer prompts are computed in chunks. Default 512. */
  readonly maxBatchTokens?: number;
  /**
   * Device memory for keys and values, in bytes. Default half of what the device's budget leaves, 2 GiB where it has none; never
   * more than `maxSequences` x `maxSequenceTokens` tokens take, nor less than one sequence.
   */
  readonly cacheBytes?: number;
  /**
   * Steps that are submitted before the tokens of the first of them were read. With 2 the device computes a step while the host
   * prepares the next, with 3 it has one more in reserve for when the host is late; more only delay new requests. A request that ends
   * by itself is computed on in those that were submitted. Requests whose sampler chooses on the host wait for each token. Default 3.
   */
  readonly stepsInFlight?: number;
  /**
   * How tokens are guessed, several of which are then computed in one step: `promptLookup()` or `draftModel(model)`. The tokens are
   * those that come without. By default none are guessed.
   */
  readonly speculation?: Speculation;
  /**
   * Whether logits, and so tokens, depend on nothing but the request and these options, to the last bit: not on what runs beside
   * it, how its prompt is scheduled, what is cached of it, or preemption. Prompts are then computed one by one; generated
   * tokens together on WebGPU with the default `attention`, by the kernels for `maxSequences` rows, and one by one elsewhere. Not with
   * `speculation`, nor with a cache that rounds. Default false.
   */
  readonly deterministic?: boolean;
  /** Told when each step did what, for a trace (`chromeTrace`). If it throws, the step's requests fail. */
  readonly onStep?: (step: StepTimes) => void;
  /** For requests that name none. Default `greedy()`. */
  readonly sampler?: Sampler;
  /**
   * What the device can do to logits before a token is drawn, in order. Default `standardStages`: all that `sampler()` has options
   * for. Samplers that are none of `sampler()`'s choose on the host.
   */
  readonly stages?: readonly LogitStage[];
  /** Default `flash()`. */
  readonly attention?: AttentionKernel;
  /** What is done to the residual stream between layers, in every step. */
  readonly hooks?: ForwardHooks;
  /**
   * Where tokens go that the cache has to forget, so that prompts still begin with them: the host's memory, a folder. With a
   * `store`, `model` must name the weights (a digest of their files): its blocks outlive the engine. Goes to `cache` with the size.
   */
  readonly cacheTiers?: PrefixTierOptions;
  /** Adapters that requests may name: a `createAdapterPool` for this model. They stay the caller's. Default none. */
  readonly adapters?: RequestAdapters;
  /** Makes the cache of the model's `kvShape`, with room for what the size says. Default `pagedCache`, which shares prefixes. */
  readonly cache?: (
    device: Device,
    size: CacheSize & { readonly shape: CausalLm['kvShape']; readonly tiers?: PrefixTierOptions },
  ) => KvCache;
  /** Makes the scheduler. Default `continuousScheduler`, first come, first served (FCFS). */
  readonly scheduler?: (
    capacity: Capacity<ScheduledGeneration>,
    limits: {
      readonly maxBatchTokens: number;
      readonly maxSequences: number;
      readonly maxPlansInFlight: number;
      /** Only where the engine is deterministic: where chunks of prompts end. */
      readonly chunkMultiple?: number;
    },
  ) => Scheduler<ScheduledGeneration>;
}

/** Names of `EngineOptions`. */
export const engineOptionNames: ReadonlySet<string> = new Set([
  'maxSequences',
  'maxSequenceTokens',
  'maxBatchTokens',
  'cacheBytes',
  'stepsInFlight',
  'speculation',
  'deterministic',
  'onStep',
  'sampler',
  'stages',
  'attention',
  'hooks',
  'cacheTiers',
  'adapters',
  'cache',
  'scheduler',
]);

/**
 * An engine over a model with the usual parts, each of which can be one's own: flash attention, a paged cache that shares
 * prefixes, first come, first served (FCFS), greedy. The cache is allocated here, as large as fits; `engine.size` says how large. The
 * model stays the caller's.
 * @throws ArgumentError, BatcherError `ERR_ARGUMENT` for bounds that are no positive integers, and options that do not exist;
 *   OutOfMemoryError; then nothing is left on the device
 */
export function openEngine(model: CausalLm, options: EngineOptions = {}): Engine {
  checkArguments('openEngine', 'object', { model, options });
  checkArguments('openEngine', 'object', { 'model.config': model.config });
  for (const name of Object.keys(options))
    if (!engineOptionNames.has(name))
      throw new ArgumentError(
        `openEngine: has no option ${name}; its options are ${[...engineOptionNames].join(', ')}`,
      );
  const { device, config, kvShape: shape } = model;
  const { maxSequences = 8, maxSequenceTokens, maxBatchTokens = 512, cacheBytes, sampler = greedy() } = options;
  const { stepsInFlight = 3, speculation } = options;
  if (typeof sampler?.sample !== 'function')
    throw new ArgumentError(
      `openEngine: sampler must be one, as sampler() or greedy() gives it, got ${typeof sampler}`,
    );
  const { cache: makeCache, scheduler: makeScheduler, onStep, attention } = options;
  checkArguments('openEngine', 'function?', { cache: makeCache, scheduler: makeScheduler, onStep });
  if (attention !== undefined) checkArguments('openEngine', 'function', { 'attention.attend': attention?.attend });
  const counts = { maxSequences, maxSequenceTokens, maxBatchTokens, cacheBytes, stepsInFlight };
  for (const [name, count] of Object.entries(counts))
    if (count !== undefined && !(Number.isSafeInteger(count) && count > 0))
      throw new ArgumentError(`openEngine: ${name} must be a positive integer, got ${count}`);
  if (options.deterministic !== undefined && typeof options.deterministic !== 'boolean')
    throw new ArgumentError(`openEngine: deterministic must be true or false, got ${options.deterministic}`);
  const deterministic = options.deterministic ? stepsFor(device, maxBatchTokens, options) : undefined;
  const wishes = { maxSequences, maxSequenceTokens, maxBatchTokens, cacheBytes };
  const size = cacheSize(device, shape, config.maxPositions, wishes);
  const { cacheTiers: tiers, hooks } = options;
  const cache = open(device, { ...size, shape, ...(tiers && { tiers }) }, options.cache ?? pagedCache);
  const { maxSequences: lanes, maxSequenceTokens: longest } = cache;
  const { vocabularySize } = config;
  const chunks = deterministic && { chunkMultiple: deterministic.chunkTokens };
  const limits = { maxBatchTokens, maxSequences, maxPlansInFlight: stepsInFlight, ...chunks };
  try {
    return createEngine({
      device,
      model,
      attention: options.attention ?? flash(),
      cache,
      scheduler: (capacity) => options.scheduler?.(capacity, limits) ?? continuousScheduler({ ...limits, capacity }),
      sampler,
      sampling: stageSampling(
        device,
        { maxSequences: lanes, maxSequenceTokens: longest, vocabularySize, maxDrafts: speculation?.maxDrafts ?? 0 },
        options.stages,
      ),
      maxBatchTokens,
      stepsInFlight,
      ...(options.adapters && { adapters: options.adapters }),
      ...(hooks && { hooks }),
      ...(speculation && { speculation }),
      ...(deterministic && { deterministic }),
      ...(options.onStep && { onStep: options.onStep }),
    });
  } catch (error) {
    cache.dispose();
    throw error;
  }
}

/**
 * How a deterministic engine computes. Where the kernels are those of this repository it knows that rows do not depend on each other.
 * @throws ArgumentError where a step has no room for a chunk
 */
function stepsFor(device: Device, maxBatchTokens: number, options: EngineOptions): DeterministicSteps {
  const steps = chunkFor(maxBatchTokens, options.maxSequences ?? 8);
  return device.name === 'webgpu' && !options.attention ? { ...steps, decoding: singleRows() } : steps;
}

/** @throws OutOfMemoryError naming the options that decide the size */
function open<S extends CacheSize>(device: Device, size: S, make: (device: Device, size: S) => KvCache): KvCache {
  try {
    return make(device, size);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    const { maxSequences, maxSequenceTokens, tokens } = size;
    throw new OutOfMemoryError(
      `openEngine: no memory for a cache of ${tokens} tokens (maxSequences ${maxSequences}, maxSequenceTokens ${maxSequenceTokens}; lower them, or cacheBytes): ${error.message}`,
      { cause: error, holders: error.holders },
    );
  }
}
