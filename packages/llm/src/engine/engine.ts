import type { AttentionKernel } from '@heddle/attention';
import {
  type Capacity,
  type ContinuousBatcher,
  continuousBatcher,
  type GenerateOptions,
  type ScheduledSequence,
  type Scheduler,
  type StepPlan,
  type StepResult,
  type TokenStream,
} from '@heddle/batcher';
import type { KvCache } from '@heddle/kvcache';
import { ArgumentError, type Device, DisposedError, type Tensor } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { checkTokens } from '../models/row-logits.ts';
import type { Sampler } from '../sampler.ts';
import { cacheCapacity } from './cache-capacity.ts';
import { ModelStep, type StepRows } from './model-step.ts';
import type { GenerationRequest, ScheduledGeneration } from './request.ts';

/** The parts of an engine; each is a value that can be one's own. */
export interface EngineParts {
  readonly device: Device;
  readonly model: CausalLm;
  readonly attention: AttentionKernel;
  /** Of the model's `kvShape`. The engine owns it from here on. */
  readonly cache: KvCache;
  /** Makes the scheduler over the cache's capacity. */
  readonly scheduler: (capacity: Capacity<ScheduledGeneration>) => Scheduler<ScheduledGeneration>;
  readonly sampler: Sampler;
  /** The most token rows that the scheduler plans for one step. */
  readonly maxBatchTokens: number;
}

/** Generates tokens for any number of requests at once. */
export interface Engine {
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

/** Puts an engine together from parts, without defaults of its own. */
export function createEngine(parts: EngineParts): Engine {
  const { model, cache } = parts;
  for (const part of ['layers', 'heads', 'headDim'] as const)
    if (cache.shape[part] !== model.kvShape[part])
      throw new ArgumentError(
        `createEngine: the cache has ${cache.shape[part]} ${part}, the model ${model.kvShape[part]}`,
      );
  if (model.device !== parts.device) throw new ArgumentError('createEngine: the model is on another device');
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
    this.#step = new ModelStep(parts.model, parts.attention, parts.cache, parts.maxBatchTokens);
    this.#batcher = continuousBatcher({
      scheduler: parts.scheduler(cacheCapacity(parts.cache)),
      run: (plan) => this.#run(plan),
    });
  }

  generate(request: GenerationRequest, options: GenerateOptions<ScheduledGeneration> = {}): TokenStream {
    if (this.#disposal) throw new DisposedError('generate: the engine was disposed of');
    const { tokens, maxTokens, stopTokens = [], sampler = this.#parts.sampler, id, ...rest } = request;
    checkTokens('generate', tokens, this.#parts.model.config.vocabularySize);
    const number = this.#requests++;
    const scheduled: ScheduledGeneration = {
      ...rest,
      id: id ?? `request ${number}`,
      promptTokens: tokens.length,
      maxTokens,
      stream: [...tokens],
      stopTokens: new Set(stopTokens),
      sampler,
      number,
      kv: undefined,
    };
    return this.#batcher.generate(scheduled, options);
  }

  async prepare(promptTokens: number): Promise<void> {
    await this.#step.prepare(Math.min(promptTokens, this.#parts.maxBatchTokens));
    await this.#step.prepare(1);
  }

  explain(): string {
    return this.#step.explain();
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#batcher.close({ abort: true }).then(() => {
      this.#step.dispose();
      this.#parts.cache.dispose();
    });
    return this.#disposal;
  }

  /** One step: lay out the planned rows, run the model over them, choose the next tokens. */
  async #run({ sequences, tokens }: StepPlan<ScheduledGeneration>): Promise<(StepResult | undefined)[]> {
    for (const { request, start } of sequences) if (request.kv!.length > start) request.kv!.truncate(start);
    const rows = layOut(sequences, tokens);
    const batch = this.#parts.cache.batch(
      sequences.map(({ request, start, end }) => ({ sequence: request.kv!, tokens: end - start })),
    );
    const outputs = await this.#step.run(rows, batch);
    batch.advance();
    const choose = await chooser(sequences, outputs);
    return sequences.map(({ request, yields }, i) => {
      if (!yields) return undefined;
      if (request.maxTokens === 0) return { tokens: [] };
      const token = choose(i);
      request.stream.push(token);
      return request.stopTokens.has(token) ? { tokens: [token], finish: 'stop' } : { tokens: [token] };
    });
  }
}

function layOut(sequences: readonly ScheduledSequence<ScheduledGeneration>[], count: number): StepRows {
  const [tokens, positions, segments] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  const rows = new Int32Array(sequences.length);
  let row = 0;
  sequences.forEach(({ request, start, end }, index) => {
    for (let position = start; position < end; position++, row++) {
      tokens[row] = request.stream[position]!;
      positions[row] = position;
      segments[row] = index;
    }
    rows[index] = row - 1;
  });
  return { tokens, positions, segments, rows };
}

/** Reads what the samplers need: a token of each sequence where all take the most likely, otherwise the logits. */
async function chooser(
  sequences: readonly ScheduledSequence<ScheduledGeneration>[],
  { logits, best }: { readonly logits: Tensor; readonly best: Tensor },
): Promise<(index: number) => number> {
  const wanted = sequences.filter(({ yields, request }) => yields && request.maxTokens > 0);
  if (wanted.length === 0) return () => -1;
  if (wanted.every(({ request }) => request.sampler.takesMostLikely)) {
    const tokens = await best.data();
    return (index) => tokens[index]!;
  }
  const values = (await logits.data()) as Float32Array;
  const size = values.length / sequences.length;
  return (index) => {
    const { request } = sequences[index]!;
    const step = request.stream.length - request.promptTokens;
    return request.sampler.sample(values.subarray(index * size, (index + 1) * size), {
      step,
      sequence: request.number,
    });
  };
}
