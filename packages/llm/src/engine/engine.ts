import { type ContinuousBatcher, continuousBatcher, type GenerateOptions, type TokenStream } from '@heddle/batcher';
import type { KvCache, KvStats } from '@heddle/kvcache';
import { ArgumentError, checkArguments, checkOptions, DisposedError } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { type DeviceSampling, greedySampling } from '../sampling/sample-plan.ts';
import { cacheCapacity } from './cache-capacity.ts';
import type { EngineParts } from './engine-parts.ts';
import { HeldSequences } from './held-sequences.ts';
import { withLanes } from './lanes.ts';
import { type GenerationRequest, type ScheduledGeneration, scheduledGeneration } from './request.ts';
import { shareUpTo } from './steps/longer-sequences.ts';
import { type PrepareOptions, sizesOf } from './steps/prepare-sizes.ts';
import type { StepCounts } from './steps/step-counts.ts';
import type { DeterministicSteps } from './steps/step-parts.ts';
import { StepRunner } from './steps/step-runner.ts';

/** Where an engine stands, and what it has done since it was opened. */
export interface EngineStats extends Readonly<StepCounts> {
  /** Requests that hold a part of the cache. */
  readonly running: number;
  /** Requests that wait, for room or for a slow reader. */
  readonly waiting: number;
  readonly stepsInFlight: number;
  readonly cache: KvStats;
}

/** What an engine has room for. */
export interface EngineSize {
  /** Sequences that run at once. */
  readonly maxSequences: number;
  /** Tokens of the longest sequence, prompt and generated. */
  readonly maxSequenceTokens: number;
  /** Tokens over all sequences. */
  readonly cacheTokens: number;
  /** Device memory of the cache. */
  readonly cacheBytes: number;
}

/** Generates tokens for any number of requests at once. */
export interface Engine extends AsyncDisposable {
  /**
   * The tokens of a request, as they come. Leaving the loop early or aborting the signal frees what the request held.
   * @throws ArgumentError, or RejectedError where the request can never run or the queue is full; DeviceLostError where a step
   *   found that the device was lost: open another device, load the model there, and open another engine
   */
  generate(request: GenerationRequest, options?: GenerateOptions<ScheduledGeneration>): TokenStream;
  /** Gives up what a request with `hold` has left. Idempotent. */
  release(id: string): void;
  /**
   * Compiles and allocates for the steps of prompts of so many tokens, or for what the options say, so that no step has to wait
   * for it: prompts, and sequences that decode together while they grow.
   * @throws ArgumentError for counts that are no positive integers; OutOfMemoryError
   */
  prepare(sizes: number | PrepareOptions): Promise<void>;
  /** How large its cache is. */
  readonly size: EngineSize;
  /** What it does and has done: requests, steps, tokens, the cache. */
  stats(): EngineStats;
  /** Its cache, and kernels and memory of its step, for people. */
  explain(): string;
  /**
   * Ends what runs, writes what prompts may begin with to the cache's store where it has one, and frees the cache and the plans;
   * the model stays the caller's. Idempotent.
   */
  dispose(): Promise<void>;
}

/**
 * Puts an engine together from parts, without defaults of its own. The model stays the caller's, the cache becomes the
 * engine's.
 * @throws ArgumentError for parts that do not fit each other, DisposedError for a model that is, or what making the scheduler
 *   throws; then the cache stays the caller's
 */
export function createEngine(parts: EngineParts): Engine {
  checkArguments('createEngine', 'object', { parts });
  checkArguments('createEngine', 'object', {
    'parts.model': parts.model,
    'parts.cache': parts.cache,
    'parts.attention': parts.attention,
  });
  checkArguments('createEngine', 'function', { 'parts.scheduler': parts.scheduler });
  checkArguments('createEngine', 'object', { 'parts.model.config': parts.model.config });
  checkArguments('createEngine', 'object', { 'parts.cache.shape': parts.cache.shape });
  const { model, cache } = parts;
  checkStores(cache, model);
  if (model.device !== parts.device) throw new ArgumentError('createEngine: the model is on another device');
  if (parts.adapters && parts.adapters.device !== parts.device)
    throw new ArgumentError('createEngine: the adapters are on another device');
  for (const parameter of model.parameters) parameter.assertUsable('createEngine: the model');
  const plan = parts.speculation && parts.sampling?.plans.find(({ drafts }) => drafts === undefined);
  if (plan)
    throw new ArgumentError(
      `createEngine: speculation needs sample plans that take several rows of a request (drafts), got '${plan.name}'`,
    );
  if (parts.deterministic) checkDeterministic(parts, parts.deterministic);
  return new StepEngine(parts);
}

/** @throws ArgumentError for parts with which bits would depend on more than the request */
function checkDeterministic({ cache, speculation, maxBatchTokens }: EngineParts, { chunkTokens }: DeterministicSteps) {
  if (!(Number.isSafeInteger(chunkTokens) && chunkTokens > 0 && chunkTokens <= maxBatchTokens))
    throw new ArgumentError(
      `createEngine: deterministic chunkTokens must be an integer from 1 to maxBatchTokens (${maxBatchTokens}), got ${chunkTokens}`,
    );
  if (speculation)
    throw new ArgumentError(
      'createEngine: deterministic computes each token by itself, so it takes no speculation, which verifies several in one step',
    );
  if (!cache.exact)
    throw new ArgumentError(
      'createEngine: deterministic needs a cache that keeps rows as they were computed, got one that rounds or drops them',
    );
}

/** @throws ArgumentError naming the first layer that the cache does not hold as the model writes it */
function checkStores(cache: KvCache, model: CausalLm): void {
  const [has, needs] = [cache.shape.layers, model.kvShape.layers];
  if (has.length !== needs.length)
    throw new ArgumentError(`createEngine: the cache has ${has.length} layers, the model ${needs.length}`);
  for (const [layer, stores] of needs.entries()) {
    const [held, needed] = [has[layer]!, stores].map((each) =>
      Object.entries(each)
        .map(([name, { shape }]) => `${name} [${shape}]`)
        .sort()
        .join(', '),
    );
    if (held !== needed)
      throw new ArgumentError(`createEngine: the cache has ${held} in layer ${layer}, the model writes ${needed}`);
  }
}

class StepEngine implements Engine {
  readonly #parts: EngineParts;
  readonly #runner: StepRunner;
  readonly #sampling: DeviceSampling;
  readonly #batcher: ContinuousBatcher<ScheduledGeneration>;
  readonly #held = new HeldSequences();
  #requests = 0;
  #disposal: Promise<void> | undefined;

  constructor(parts: EngineParts) {
    const { cache, model, sampling = greedySampling(), stepsInFlight = 1 } = parts;
    this.#parts = parts;
    this.#sampling = sampling;
    const computedWith = parts.hooks && `hooks ${parts.hooks.digest}`;
    const { deterministic } = parts;
    const sharing = { shareUpTo: shareUpTo(model), held: this.#held, ...(deterministic && { deterministic }) };
    const capacity = cacheCapacity(cache, { ...sharing, ...(computedWith && { computedWith }) });
    const released = (request: ScheduledGeneration) => this.#runner.speculating?.end(request);
    const scheduler = parts.scheduler(withLanes(capacity, cache.maxSequences, sampling, released));
    this.#batcher = continuousBatcher({
      scheduler,
      run: (plan) => {
        if (plan.tokens > parts.maxBatchTokens)
          throw new ArgumentError(
            `createEngine: the scheduler planned ${plan.tokens} tokens in a step, and maxBatchTokens is ${parts.maxBatchTokens}: make it with the limits that it is given`,
          );
        return this.#runner.run(plan);
      },
      plansInFlight: stepsInFlight,
    });
    this.#runner = new StepRunner({ ...parts, sampling, stepsInFlight, makeRoom: () => this.#held.clear() });
    cache.onReady?.(() => this.#batcher.wake());
  }

  generate(request: GenerationRequest, options: GenerateOptions<ScheduledGeneration> = {}): TokenStream {
    this.#assertOpen('generate');
    if (this.#runner.loss) throw this.#runner.loss;
    const { sampler, model, adapters } = this.#parts;
    const { vocabularySize } = model.config;
    const number = this.#requests;
    const sampling = this.#sampling;
    const { speculating } = this.#runner;
    const engine = { number, sampler, vocabularySize, sampling, adapters, speculating };
    const scheduled = scheduledGeneration(request, engine);
    const { adapter, hold, id } = scheduled;
    try {
      const stream = this.#batcher.generate(scheduled, options);
      this.#requests++;
      if (hold) {
        this.#held.want(id);
        void stream.ended.then(({ reason }) => reason !== 'length' && this.#held.drop(id));
      }
      if (adapter) void stream.ended.then(() => adapter.release());
      return stream;
    } catch (error) {
      adapter?.release();
      throw error;
    }
  }

  release(id: string): void {
    checkArguments('release', 'text', { id });
    this.#held.drop(id);
  }

  async prepare(sizes: number | PrepareOptions): Promise<void> {
    this.#assertOpen('prepare');
    const { cache, deterministic } = this.#parts;
    const maxBatchTokens = deterministic?.chunkTokens ?? this.#parts.maxBatchTokens;
    const { symbols, maxSequences, maxSequenceTokens } = cache;
    if (typeof sizes === 'object' && !Array.isArray(sizes))
      checkOptions('prepare', sizes, ['promptTokens', 'sequences', 'sequenceTokens', 'sampler']);
    const { sampler = this.#parts.sampler, ...options } = typeof sizes === 'number' ? { promptTokens: sizes } : sizes;
    const bounds = {
      maxBatchTokens,
      maxSequences,
      maxSequenceTokens,
      symbols,
      maxDrafts: this.#parts.speculation?.maxDrafts ?? 0,
    };
    await this.#runner.prepare(sizesOf(options, bounds), sampler);
  }

  stats(): EngineStats {
    const { running, waiting, plansInFlight: stepsInFlight } = this.#batcher.load;
    return { ...this.#runner.counts, running, waiting, stepsInFlight, cache: this.#parts.cache.stats() };
  }

  explain(): string {
    this.#assertOpen('explain');
    const { maxSequences, maxSequenceTokens, cacheTokens, cacheBytes } = this.size;
    const count = new Intl.NumberFormat('en').format;
    const cache = `cache: ${count(maxSequences)} sequences of at most ${count(maxSequenceTokens)} tokens, ${count(cacheTokens)} tokens in all, ${count(cacheBytes)} bytes (maxSequences, maxSequenceTokens, cacheBytes)`;
    return `${cache}\n${this.#runner.explain()}`;
  }

  get size(): EngineSize {
    const { cache } = this.#parts;
    const { tokenCapacity, bytes } = cache.stats();
    const { maxSequences, maxSequenceTokens } = cache;
    return { maxSequences, maxSequenceTokens, cacheTokens: tokenCapacity, cacheBytes: bytes };
  }

  dispose(): Promise<void> {
    const reason = new DisposedError('generate: the engine was disposed of before the request had ended');
    const { cache } = this.#parts;
    this.#disposal ??= this.#batcher.close({ abort: true, reason }).then(async () => {
      this.#held.clear();
      this.#runner.dispose();
      try {
        await cache.persist?.();
      } finally {
        cache.dispose();
        await cache.settled?.();
      }
    });
    return this.#disposal;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
  #assertOpen(operation: string): void {
    if (this.#disposal) throw new DisposedError(`${operation}: the engine was disposed of`);
  }
}
