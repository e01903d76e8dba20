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
import type { KvCache } from '@heddle/kvcache';
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

/** Generates tokens for any number of requests at once. */
export interface Engine extends AsyncDisposable {
  /**
   * The tokens of a request, as they come. Leaving the loop early or aborting the signal frees what the request held.
   * @throws ArgumentError, or RejectedError where the request can never run or the queue is full
   */
  generate(request: GenerationRequest, options?: GenerateOptions<ScheduledGeneration>): TokenStream;
  /** Does what the first steps of a prompt of so many tokens would have to wait for. */
  prepare(promptTokens: number): Promise<void>;
  /** Kernels and memory of its step, for people. */
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
  for (const part of ['layers', 'heads', 'headDim'] as const)
    if (cache.shape[part] !== model.kvShape[part])
      throw new ArgumentError(
        `createEngine: the cache has ${cache.shape[part]} ${part}, the model ${model.kvShape[part]}`,
      );
  if (model.device !== parts.device) throw new ArgumentError('createEngine: the model is on another device');
  for (const parameter of model.parameters) parameter.assertUsable('createEngine: the model');
  return new StepEngine(parts);
}

class StepEngine implements Engine {
  readonly #parts: EngineParts;
  readonly #step: ModelStep;
  readonly #batcher: ContinuousBatcher<ScheduledGeneration>;
  #requests = 0;
  #disposal: Promise<void> | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const scheduler = parts.scheduler(cacheCapacity(parts.cache));
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
    return this.#step.explain();
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
    for (const { request, start } of sequences) if (request.kv!.length > start) request.kv!.truncate(start);
    for (const sequence of sequences) await this.#recomputeWhereLonger(sequence);
    const rows = layOut(sequences, tokens, this.#recomputeBeyond);
    const batch = this.#parts.cache.batch(
      sequences.map(({ request, start, end }) => ({ sequence: request.kv!, tokens: end - start })),
    );
    const outputs = await this.#step.run(rows, batch);
    batch.advance();
    return chooseTokens(sequences, outputs, this.#parts.model.kvShape.dtype);
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
      const rows = layOut([{ request, start: from, end: to }], to - from, beyond);
      await this.#step.run({ ...rows, sequenceLengths: rows.sequenceLengths.fill(end) }, batch);
      batch.advance();
    }
  }
}

type Chunk = Pick<ScheduledSequence<ScheduledGeneration>, 'request' | 'start' | 'end'>;

/** A row counts a prompt as whole, and beyond the given length its whole step: what it is must not depend on chunks. */
function layOut(
  sequences: readonly Chunk[],
  count: number,
  beyond: number,
): StepRows & { readonly sequenceLengths: Int32Array } {
  const [tokens, positions, segments] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  const rows = new Int32Array(sequences.length);
  const sequenceLengths = new Int32Array(count);
  let row = 0;
  sequences.forEach(({ request, start, end }, index) => {
    for (let position = start; position < end; position++, row++) {
      tokens[row] = request.stream[position]!;
      positions[row] = position;
      segments[row] = index;
      sequenceLengths[row] = Math.max(request.promptTokens, end > beyond ? end : position + 1);
    }
    rows[index] = row - 1;
  });
  return { tokens, positions, segments, rows, sequenceLengths };
}
