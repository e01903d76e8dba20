import type { ScheduledSequence, SequenceResult, StepPlan } from '@heddle/batcher';
import { CacheIntegrityError, type KvBatch, type KvCache, type KvSequence } from '@heddle/kvcache';
import { type Device, isHeddleError, type SymbolValues, type Tensor, type Variable } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import type { Sampler } from '../sampler.ts';
import type { DeviceSampling } from '../sampling/sample-plan.ts';
import type { EngineParts } from './engine.ts';
import { ForwardStep, type StepRows } from './forward-step.ts';
import { outgrows, recompute, recomputeBeyond, shareUpTo } from './longer-sequences.ts';
import type { ScheduledGeneration } from './request.ts';
import { type Sampled, SampleStep } from './sample-step.ts';
import { resultOf } from './sequence-result.ts';
import { type Chunk, chooses, StepLayout } from './step-rows.ts';
import type { StepTimes } from './step-trace.ts';
import { Turns } from './turns.ts';

type Sequences = readonly ScheduledSequence<ScheduledGeneration>[];
type Results = (SequenceResult | undefined)[];

/** What an engine has done so far. */
export interface StepCounts {
  steps: number;
  /** Token rows that were computed, of prompts and generated ones, those that were computed again too. */
  computedTokens: number;
  /** Tokens that were chosen, those after a late stop too. */
  generatedTokens: number;
}

/** A step that was submitted: which sequences it has, and what comes back of it. */
interface Flight {
  readonly sequences: Sequences;
  readonly sampled: Sampled;
  readonly begun: number;
  readonly submitted: number;
}

/**
 * Runs steps, any number of them in flight. Each is submitted when the one before was, not when that is done: the device does
 * them in that order, and nothing else keeps them apart. A token that the host does not know yet is read on the device. So what
 * is booked (lengths, blocks) changes when a step is submitted; streams grow, and tokens are shared with others, in the same order
 * when its results come.
 */
export class StepRunner {
  readonly #device: Device;
  readonly #model: CausalLm;
  readonly #cache: KvCache;
  readonly #forward: ForwardStep;
  readonly #sampling: SampleStep;
  readonly #chosen: Variable;
  readonly #layout: StepLayout;
  readonly #submissions = new Turns();
  readonly #completions = new Turns();
  readonly #maxBatchTokens: number;
  readonly #shareUpTo: number;
  readonly #beyond: number;
  /** Requests and counts of the rows that choose, by row: used again by each step. */
  readonly #choosing: ScheduledGeneration[] = [];
  readonly #indices: number[] = [];
  readonly #onStep: ((step: StepTimes) => void) | undefined;
  /** What completed steps did. */
  readonly counts: StepCounts = { steps: 0, computedTokens: 0, generatedTokens: 0 };
  #loss: Error | undefined;

  /** @throws OutOfMemoryError, then nothing is left on the device */
  constructor(parts: EngineParts & { readonly sampling: DeviceSampling }) {
    const { device, model, attention, cache, maxBatchTokens, sampling } = parts;
    this.#onStep = parts.onStep;
    this.#device = device;
    this.#model = model;
    this.#cache = cache;
    this.#maxBatchTokens = maxBatchTokens;
    this.#shareUpTo = shareUpTo(model);
    const lanes = cache.maxSequences;
    this.#chosen = device.zeroVariable([lanes], { dtype: 'i32', name: 'chosen', owner: 'engine' });
    this.#forward = new ForwardStep(model, attention, cache, this.#chosen, maxBatchTokens, parts.adapters);
    const { vocabularySize } = model.config;
    this.#sampling = new SampleStep(device, sampling, this.#chosen, { maxRows: lanes, vocabularySize });
    this.#beyond = recomputeBeyond(model);
    this.#layout = new StepLayout(maxBatchTokens, lanes, this.#beyond);
  }

  /** The loss of the device: no step runs any more. */
  get loss(): Error | undefined {
    return this.#loss;
  }

  /** Resolves with the step's results when those of the steps before have come. */
  run(plan: StepPlan<ScheduledGeneration>): Promise<Results> {
    const planned = performance.now();
    const before = this.#completions.settled;
    const flight = this.#submissions.run(() => this.#submit(plan.sequences, before));
    return this.#completions.run(() => this.#complete(plan, planned, flight));
  }

  async prepare(sizes: readonly SymbolValues[], sampler: Sampler): Promise<void> {
    await this.#forward.prepare(sizes);
    await this.#sampling.prepare(sizes, sampler);
  }

  explain(): string {
    return `${this.#forward.explain()}\n${this.#sampling.explain()}`;
  }

  dispose(): void {
    this.#forward.dispose();
    this.#sampling.dispose();
    this.#chosen.dispose();
  }

  #note(error: unknown): void {
    if (isHeddleError(error, 'ERR_DEVICE_LOST')) this.#loss ??= error;
  }

  /**
   * Brings a step on its way to the device. A request that has ended meanwhile is left out.
   * @param before when the results of the steps before have come
   */
  async #submit(all: Sequences, before: Promise<unknown>): Promise<Flight> {
    const begun = performance.now();
    try {
      if (this.#beyond < Number.POSITIVE_INFINITY) await this.#recomputeWhereLonger(all, before);
      const sequences = all.some(isOver) ? all.filter((chunk) => !isOver(chunk)) : all;
      // forward pass, sampling and the copy of its tokens go to the device as one submission; where the choice waits for tokens of
      // the step before, the forward pass goes first
      const compute = () => this.#compute(sequences, before);
      const waits = sequences.some(({ request }) => request.constraint);
      const sampled = await (waits ? compute() : this.#device.submitTogether(compute));
      return { sequences, sampled, begun, submitted: performance.now() };
    } catch (error) {
      this.#note(error);
      for (const { request } of all) request.stranded = true;
      throw error;
    }
  }

  async #compute(chunks: readonly Chunk[], before: Promise<unknown>): Promise<Sampled> {
    if (chunks.length === 0) return this.#sampling.none();
    const batch = this.#cache.batch(
      chunks.map(({ request, start, end }) => ({ sequence: at(request, start), tokens: end - start })),
    );
    const running = this.#runForward(this.#layout.of(chunks), batch);
    let R = 0;
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      if (!chooses(chunk)) continue;
      this.#choosing[R] = chunk.request;
      this.#indices[R++] = chunk.end - chunk.request.promptTokens;
    }
    this.#choosing.length = R;
    const logits = await running;
    if (this.#choosing.some(({ constraint }) => constraint)) await this.#constrain(before);
    return R > 0 ? this.#sampling.run(logits, this.#choosing, this.#indices) : this.#sampling.none();
  }

  /**
   * Says which tokens may be chosen, where that depends on those before: the forward pass is on its way by then, and only the choice
   * waits for them. A constraint that fails ends its own request.
   */
  async #constrain(before: Promise<unknown>): Promise<void> {
    const bound = this.#choosing.map((request, row) => ({ request, known: this.#indices[row]! }));
    const isKnown = ({ request, known }: (typeof bound)[number]) =>
      request.stream.length - request.promptTokens >= known;
    if (!bound.filter(({ request }) => request.constraint).every(isKnown)) await before;
    await Promise.all(
      bound.map(async ({ request }) => {
        if (!request.constraint || request.ended || request.failure) return;
        try {
          const mask = await request.constraint.allowed(request.stream, request.promptTokens);
          this.#sampling.allow(request.lane, mask);
        } catch (error) {
          request.failure = { error };
        }
      }),
    );
  }

  /** The results of a step for the sequences of its plan, whose streams grow. */
  async #complete(
    { step, sequences: all, tokens: computed }: StepPlan<ScheduledGeneration>,
    planned: number,
    flight: Promise<Flight>,
  ): Promise<Results> {
    try {
      const { sequences, sampled, begun, submitted } = await flight;
      const tokens = await sampled.tokens;
      const logits = await sampled.logits;
      const read = performance.now();
      const logprobs = await sampled.logprobs;
      const V = this.#model.config.vocabularySize;
      const results = new Array<SequenceResult | undefined>(all.length).fill(undefined);
      let row = 0;
      for (let i = 0, at = 0; i < all.length; i++) {
        const chunk = all[i]!;
        if (sequences[at] !== chunk) continue;
        at++;
        const { request, yields, end } = chunk;
        const place = chooses(chunk) ? row++ : -1;
        // what comes after its end is nobody's
        if (request.ended) continue;
        if (place < 0) results[i] = yields ? { tokens: [] } : undefined;
        else {
          const onHost = logits && this.#sampling.choosesOnHost(request);
          const values = onHost ? logits.subarray(place * V, (place + 1) * V) : undefined;
          const said = logprobs && { rows: logprobs, row: place };
          results[i] = resultOf(request, tokens[place]!, values, this.#model.activations, said);
        }
        const finish = results[i]?.finish;
        if (finish !== 'error') this.#share(request, end);
        if (finish !== undefined) request.ended = true;
      }
      this.counts.steps++;
      this.counts.computedTokens += computed;
      this.counts.generatedTokens += row;
      const times = { step, sequences: sequences.length, tokens: computed, planned, begun, submitted, read };
      this.#onStep?.({ ...times, completed: performance.now() });
      return results;
    } catch (error) {
      this.#note(error);
      for (const { request } of all) request.ended = true;
      throw error;
    }
  }

  /** Tells the cache the tokens that are computed by now. Only now: what a failed step has left is never shared. */
  #share({ kv, stream, promptTokens }: ScheduledGeneration, end: number): void {
    if (Math.max(promptTokens, end) > this.#shareUpTo) return;
    kv!.know(stream.slice(kv!.known, end));
  }

  /** Submits a forward pass, and counts its rows as written in the same turn. */
  #runForward(rows: StepRows, batch: KvBatch): Promise<Tensor> {
    const running = this.#forward.run(rows, batch);
    batch.advance();
    return running;
  }

  /** Computes anew what is cached of sequences that grow beyond the length at which the model computes them in another way. */
  async #recomputeWhereLonger(sequences: Sequences, before: Promise<unknown>): Promise<void> {
    for (const chunk of sequences) {
      if (!outgrows(chunk, this.#beyond)) continue;
      await before; // the host knows all of its tokens then, and whether it has ended
      if (isOver(chunk)) continue;
      await recompute(chunk, {
        cache: this.#cache,
        layout: this.#layout,
        maxBatchTokens: this.#maxBatchTokens,
        run: (rows, batch) => this.#runForward(rows, batch),
      });
    }
  }
}

const isOver = ({ request }: Chunk): boolean => request.ended || request.stranded;

/** The cache of a request, of which the tokens from `start` on are computed next. */
function at({ kv, id }: ScheduledGeneration, start: number): KvSequence {
  const length = kv!.length > start ? kv!.truncate(start) : kv!.length;
  if (length === start) return kv!;
  throw new CacheIntegrityError(`cache: ${id} has ${length} tokens where the step goes on at ${start}`);
}
