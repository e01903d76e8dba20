import type { AttentionKernel } from '@heddle/attention';
import {
  type Capacity,
  type ContinuousBatcher,
  continuousBatcher,
  type GenerateOptions,
  type ScheduledSequence,
  type Scheduler,
  type SequenceResult,
  type StepPlan,
  type TokenStream,
} from '@heddle/batcher';
import { CacheIntegrityError, type KvCache, type KvSequence } from '@heddle/kvcache';
import { ArgumentError, type Device, DisposedError } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import type { Sampler } from '../sampler.ts';
import { cacheCapacity } from './cache-capacity.ts';
import { chooseTokens } from './choose-tokens.ts';
import { ModelStep, type StepRows } from './model-step.ts';
import { type GenerationRequest, type ScheduledGeneration, scheduledGeneration } from './request.ts';

/** The parts of an engine; each is a value that can be one's own. */
export interface EngineParts {
  readonly device: Device;
  readonly model: CausalLm;
  readonly attention: AttentionKernel;
  /** Of the model's `kvShape`. Belongs to the engine from then on: its `dispose` ends it. */
  readonly cache: KvCache;
  /** Makes the scheduler over the cache's capacity. */
  readonly scheduler: (capacity: Capacity<ScheduledGeneration>) => Scheduler<ScheduledGeneration>;
  readonly sampler: Sampler;
  /** The most token rows that the scheduler plans for one step. */
  readonly maxBatchTokens: number;
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
   * @throws ArgumentError, or RejectedError where the request can never run or the queue is full
   */
  generate(request: GenerationRequest, options?: GenerateOptions<ScheduledGeneration>): TokenStream;
  /** Does what the first steps of a prompt of so many tokens would have to wait for. */
  prepare(promptTokens: number): Promise<void>;
  /** How large its cache is. */
  readonly size: EngineSize;
  /** Its cache, and kernels and memory of its step, for people. */
  explain(): string;
  /** Ends what runs, and frees the cache and the plans; the model stays the caller's. Idempotent. */
  dispose(): Promise<void>;
}

/**
 * Puts an engine together from parts, without defaults of its own. The model stays the caller's, the cache becomes the
 * engine's.
 * @throws ArgumentError for parts that do not fit each other, DisposedError for a model that is, or what making the scheduler
 *   throws; then the cache stays the caller's
 */
export function createEngine(parts: EngineParts): Engine {
  const { model, cache } = parts;
  checkStores(cache, model);
  if (model.device !== parts.device) throw new ArgumentError('createEngine: the model is on another device');
  for (const parameter of model.parameters) parameter.assertUsable('createEngine: the model');
  return new StepEngine(parts);
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
  readonly #step: ModelStep;
  readonly #batcher: ContinuousBatcher<ScheduledGeneration>;
  #requests = 0;
  #disposal: Promise<void> | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const scheduler = parts.scheduler(cacheCapacity(parts.cache, { shareUpTo: shareUpTo(parts.model) }));
    this.#batcher = continuousBatcher({ scheduler, run: (plan) => this.#run(plan) });
    this.#step = new ModelStep(parts.model, parts.attention, parts.cache, parts.maxBatchTokens);
  }

  generate(request: GenerationRequest, options: GenerateOptions<ScheduledGeneration> = {}): TokenStream {
    this.#assertOpen('generate');
    const { sampler, model } = this.#parts;
    const { vocabularySize } = model.config;
    const scheduled = scheduledGeneration(request, { number: this.#requests, sampler, vocabularySize });
    const stream = this.#batcher.generate(scheduled, options);
    this.#requests++;
    return stream;
  }

  async prepare(promptTokens: number): Promise<void> {
    this.#assertOpen('prepare');
    await this.#step.prepare(Math.min(promptTokens, this.#parts.maxBatchTokens));
    await this.#step.prepare(1);
  }

  explain(): string {
    this.#assertOpen('explain');
    const { maxSequences, maxSequenceTokens, cacheTokens, cacheBytes } = this.size;
    const count = new Intl.NumberFormat('en').format;
    const cache = `cache: ${count(maxSequences)} sequences of at most ${count(maxSequenceTokens)} tokens, ${count(cacheTokens)} tokens in all, ${count(cacheBytes)} bytes (maxSequences, maxSequenceTokens, cacheBytes)`;
    return `${cache}\n${this.#step.explain()}`;
  }

  get size(): EngineSize {
    const { cache } = this.#parts;
    const { tokenCapacity, bytes } = cache.stats();
    const { maxSequences, maxSequenceTokens } = cache;
    return { maxSequences, maxSequenceTokens, cacheTokens: tokenCapacity, cacheBytes: bytes };
  }

  dispose(): Promise<void> {
    const reason = new DisposedError('generate: the engine was disposed of before the request had ended');
    this.#disposal ??= this.#batcher.close({ abort: true, reason }).then(() => {
      this.#step.dispose();
      this.#parts.cache.dispose();
    });
    return this.#disposal;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
  #assertOpen(operation: string): void {
    if (this.#disposal) throw new DisposedError(`${operation}: the engine was disposed of`);
  }

  /** One step: lay out the planned rows, run the model over them, choose the next tokens. */
  async #run({ sequences, tokens }: StepPlan<ScheduledGeneration>): Promise<(SequenceResult | undefined)[]> {
    const { cache, model } = this.#parts;
    for (const sequence of sequences) await this.#recomputeWhereLonger(sequence);
    const rows = sequences.map(({ request, start, end }) => ({ sequence: at(request, start), tokens: end - start }));
    const batch = cache.batch(rows);
    const outputs = await this.#step.run(layOut(sequences, tokens, this.#recomputeBeyond), batch);
    batch.advance();
    const results = await chooseTokens(sequences, outputs, model.activations);
    // only now: what a failed step has left is never shared
    for (const [i, { request, end }] of sequences.entries())
      if (results[i]?.finish !== 'error' && Math.max(request.promptTokens, end) <= this.#shareUpTo)
        request.kv!.know(request.stream.slice(request.kv!.known, end));
    return results;
  }

  /** The longest sequence whose tokens are the same, however long it grows. */
  get #shareUpTo(): number {
    return shareUpTo(this.#parts.model);
  }
  get #recomputeBeyond(): number {
    return this.#parts.model.lengthScaling?.recomputeBeyond ?? Number.POSITIVE_INFINITY;
  }

  /** What was cached of a sequence before it grew beyond the length at which the model computes it in another way. */
  async #recomputeWhereLonger({ request, start, end }: ScheduledSequence<ScheduledGeneration>): Promise<void> {
    const beyond = this.#recomputeBeyond;
    if (start === 0 || end <= beyond || Math.max(start, request.promptTokens) > beyond) return;
    const kv = request.kv!;
    kv.truncate(0);
    if (!kv.reserve(end)) throw new ArgumentError(`generate: the cache has no room for ${end} tokens of ${request.id}`);
    const { maxBatchTokens, cache } = this.#parts;
    for (let from = 0; from < start; from += maxBatchTokens) {
      const to = Math.min(start, from + maxBatchTokens);
      const batch = cache.batch([{ sequence: kv, tokens: to - from }]);
      const rows = layOut([{ request, start: from, end: to, yields: false }], to - from, beyond);
      await this.#step.run({ ...rows, sequenceLengths: rows.sequenceLengths.fill(end) }, batch);
      batch.advance();
    }
  }
}

/** Where what is computed of a token depends on how long its sequence is, only sequences that are all short share tokens. */
function shareUpTo({ lengthScaling }: CausalLm): number {
  return lengthScaling ? (lengthScaling.recomputeBeyond ?? 0) : Number.POSITIVE_INFINITY;
}

/** The cache of a request, of which the tokens from `start` on are computed next. */
function at({ kv, id }: ScheduledGeneration, start: number): KvSequence {
  const length = kv!.length > start ? kv!.truncate(start) : kv!.length;
  if (length === start) return kv!;
  throw new CacheIntegrityError(`cache: ${id} has ${length} tokens where the step goes on at ${start}`);
}

type Chunk = Pick<ScheduledSequence<ScheduledGeneration>, 'request' | 'start' | 'end' | 'yields'>;

/**
 * Tokens of the rows of a step, and the last row of each sequence that yields. A row counts a prompt as whole, and beyond the
 * given length its whole step: what it is must not depend on chunks.
 */
function layOut(sequences: readonly Chunk[], count: number, beyond: number): Required<StepRows> {
  const [tokens, sequenceLengths] = [new Int32Array(count), new Int32Array(count)];
  const rows: number[] = [];
  let row = 0;
  for (const { request, start, end, yields } of sequences) {
    for (let position = start; position < end; position++, row++) {
      tokens[row] = request.stream[position]!;
      sequenceLengths[row] = Math.max(request.promptTokens, end > beyond ? end : position + 1);
    }
    if (yields) rows.push(row - 1);
  }
  return { tokens, sequenceLengths, rows: Int32Array.from(rows) };
}
