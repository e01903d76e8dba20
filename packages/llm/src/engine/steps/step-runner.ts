import type { AttentionKernel } from '@heddle/attention';
import type { ScheduledSequence, SequenceResult, StepPlan } from '@heddle/batcher';
import type { KvBatch, KvBatchRows, KvCache } from '@heddle/kvcache';
import { type Device, isHeddleError, type SymbolValues, type Tensor, type Variable } from '@heddle/tensor';
import type { CausalLm } from '../../models/causal-lm.ts';
import type { Sampler } from '../../sampler.ts';
import type { DeviceSampling } from '../../sampling/sample-plan.ts';
import type { EngineParts } from '../engine-parts.ts';
import type { ScheduledGeneration } from '../request.ts';
import { Speculating } from '../speculating.ts';
import { ChoosingRows } from './choosing-rows.ts';
import { constrain } from './constrain.ts';
import { resultOfLeftOut } from './fail-alone.ts';
import { ForwardStep, type StepRows } from './forward-step.ts';
import { isOver, type Recomputation, recomputeBeyond, recomputeWhereLonger, shareUpTo } from './longer-sequences.ts';
import { computeWhatIsLost } from './lost-rows.ts';
import { type Sampled, SampleStep } from './sample-step.ts';
import { resultOf } from './sequence-result.ts';
import type { StepCounts } from './step-counts.ts';
import { type DeterministicSteps, runApart, wholeChunks } from './step-parts.ts';
import { type Chunk, chooses, choosingRows, StepLayout } from './step-rows.ts';
import type { StepTimes } from './step-trace.ts';
import { Turns } from './turns.ts';

type Sequences = readonly ScheduledSequence<ScheduledGeneration>[];
type Results = (SequenceResult | undefined)[];

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
  /** For single tokens of several requests, where the bits of each are its own. */
  readonly #decoding: ForwardStep | undefined;
  readonly #sampling: SampleStep;
  readonly #chosen: Variable;
  readonly #layout: StepLayout;
  readonly #submissions = new Turns();
  readonly #completions = new Turns();
  readonly #shareUpTo: number;
  readonly #beyond: number;
  /** How sequences are computed anew. */
  readonly #anew: Recomputation;
  readonly #deterministic: DeterministicSteps | undefined;
  readonly #choosing = new ChoosingRows();
  readonly #hasStates: boolean;
  /** The guesses of requests, where the engine speculates. */
  readonly speculating: Speculating | undefined;
  readonly #onStep: ((step: StepTimes) => void) | undefined;
  /** What completed steps did. */
  readonly counts: StepCounts = {
    steps: 0,
    computedTokens: 0,
    generatedTokens: 0,
    draftedTokens: 0,
    acceptedTokens: 0,
    failedDrafts: 0,
    draftError: undefined,
  };
  #loss: Error | undefined;

  /** @throws OutOfMemoryError, then nothing is left on the device */
  constructor(
    parts: EngineParts & { readonly sampling: DeviceSampling; readonly makeRoom?: Recomputation['makeRoom'] },
  ) {
    const { device, model, attention, cache, maxBatchTokens, sampling } = parts;
    this.#onStep = parts.onStep;
    this.#deterministic = parts.deterministic;
    this.#device = device;
    this.#model = model;
    this.#cache = cache;
    this.#shareUpTo = shareUpTo(model);
    this.#hasStates = cache.shape.layers.some((layer) => Object.values(layer).some(({ kind }) => kind === 'state'));
    this.#beyond = recomputeBeyond(model);
    const { maxSequences: lanes, maxSequenceTokens } = cache;
    const { speculation } = parts;
    const maxDrafts = speculation?.maxDrafts ?? 0;
    const drafted = { model, maxSequences: lanes, maxSequenceTokens, maxBatchTokens };
    this.speculating = speculation && new Speculating(speculation, drafted, this.#beyond);
    const maxRows = Math.max(lanes, Math.min(lanes * (1 + maxDrafts), maxBatchTokens));
    this.#chosen = device.zeroVariable([lanes], { dtype: 'i32', name: 'chosen', owner: 'engine' });
    const { adapters, hooks, deterministic } = parts;
    const forward = (kernel: AttentionKernel, tokens: number, onePlan: boolean) =>
      new ForwardStep(model, kernel, cache, this.#chosen, tokens, { adapters, maxRows, hooks, onePlan });
    this.#forward = forward(attention, maxBatchTokens, false);
    this.#decoding = deterministic?.decoding && forward(deterministic.decoding, lanes, true);
    const { vocabularySize } = model.config;
    this.#sampling = new SampleStep(device, sampling, this.#chosen, {
      ...{ maxRows, vocabularySize, maxDrafts },
      onePlan: this.#decoding !== undefined,
    });
    this.#layout = new StepLayout(maxBatchTokens, maxRows, this.#beyond);
    const run: Recomputation['run'] = (rows, batch) => this.#runForward(rows, batch);
    const { makeRoom = () => false } = parts;
    this.#anew = { cache, layout: this.#layout, maxBatchTokens, makeRoom, run };
  }

  /** The loss of the device: no step runs any more. */
  get loss(): Error | undefined {
    return this.#loss;
  }

  /** Resolves with the step's results when those of the steps before have come. */
  run(plan: StepPlan<ScheduledGeneration>): Promise<Results> {
    if (!this.#deterministic) return this.#runTogether(plan);
    return runApart(plan, this.#deterministic, {
      kindOf: (request) => 2 * this.#sampling.kindOf(request) + (request.adapter ? 1 : 0),
      run: (part, decodes) => this.#runTogether(part, decodes ? this.#decoding : undefined),
    });
  }

  #runTogether(plan: StepPlan<ScheduledGeneration>, forward = this.#forward): Promise<Results> {
    const planned = performance.now();
    for (const { request } of plan.sequences) request.flights++;
    const before = this.#completions.settled;
    const flight = this.#submissions.run(() => this.#submit(plan.sequences, before, forward));
    return this.#completions.run(() => this.#complete(plan, planned, flight));
  }

  async prepare(sizes: readonly SymbolValues[], sampler: Sampler): Promise<void> {
    await this.#forward.prepare(sizes);
    const lanes = this.#cache.maxSequences;
    // one plan for all sizes: any sizes within its bounds prepare it
    await this.#decoding?.prepare(sizes.slice(0, 1).map((size) => ({ ...size, T: lanes, R: lanes, B: lanes })));
    await this.#sampling.prepare(sizes, sampler);
  }

  explain(): string {
    return [this.#forward, this.#decoding, this.#sampling].flatMap((step) => step?.explain() ?? []).join('\n');
  }

  dispose(): void {
    this.speculating?.dispose();
    this.#forward.dispose();
    this.#decoding?.dispose();
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
  async #submit(all: Sequences, before: Promise<unknown>, forward: ForwardStep): Promise<Flight> {
    const begun = performance.now();
    try {
      if (this.#beyond < Number.POSITIVE_INFINITY) await recomputeWhereLonger(all, before, this.#beyond, this.#anew);
      const sequences = all.some(isOver) ? all.filter((chunk) => !isOver(chunk)) : all;
      // forward pass, sampling and the copy of its tokens go to the device as one submission; where the choice waits for tokens of
      // the step before, the forward pass goes first
      const compute = () => this.#compute(sequences, before, forward);
      const waits = sequences.some(({ request }) => request.constraint);
      const computed = await (waits ? compute() : this.#device.submitTogether(compute));
      return { ...computed, begun, submitted: performance.now() };
    } catch (error) {
      this.#note(error);
      for (const { request } of all) request.stranded = true;
      throw error;
    }
  }

  /** Submits what is computed of chunks. @returns those of which it is: one that fails by itself is left out */
  async #compute(
    sequences: Sequences,
    before: Promise<unknown>,
    forward: ForwardStep,
  ): Promise<Pick<Flight, 'sequences' | 'sampled'>> {
    const lost = await computeWhatIsLost(sequences, this.#anew);
    const chunks = lost ? sequences.filter((chunk) => !isOver(chunk)) : sequences;
    return { sequences: chunks, sampled: await this.#sample(chunks, before, forward) };
  }

  async #sample(chunks: Sequences, before: Promise<unknown>, forward: ForwardStep): Promise<Sampled> {
    if (chunks.length === 0) return this.#sampling.none();
    const batch = this.#cache.batch(chunks.map((chunk) => this.#rowsOf(chunk)));
    const running = this.#runForward(this.#layout.of(chunks), batch, forward);
    const { requests, indices, drafts } = this.#choosing.of(chunks);
    const logits = await running;
    const bound = chunks.filter((chunk) => chunk.request.constraint && chooses(chunk));
    if (bound.length > 0)
      await constrain(bound, before, (lane, mask, drafts = 0) => this.#sampling.allow(lane, mask, drafts));
    if (requests.length === 0) return this.#sampling.none();
    return this.#sampling.run(logits, requests, indices, drafts);
  }

  /** What a chunk computes, of a sequence that has all before it. */
  #rowsOf({ request, start, end, drafts }: Chunk): KvBatchRows {
    const tokens = end - start;
    if (drafts === 0 || !this.#hasStates) return { sequence: request.kv!, tokens };
    // a sequence goes back to before the first draft that is wrong
    return { sequence: request.kv!, tokens, keep: Array.from({ length: tokens }, (_, i) => start + i) };
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
      for (const { request } of all) request.flights--;
      const { activations, config } = this.#model;
      const V = config.vocabularySize;
      const results = new Array<SequenceResult | undefined>(all.length).fill(undefined);
      let row = 0;
      for (let i = 0, at = 0; i < all.length; i++) {
        const chunk = all[i]!;
        const { request, yields, end, drafts } = chunk;
        if (sequences[at] !== chunk) {
          results[i] = resultOfLeftOut(request);
          if (results[i]) request.ended = true;
          continue;
        }
        at++;
        const first = row;
        row += choosingRows(chunk);
        if (row > first) this.counts.generatedTokens++;
        // what comes after its end is nobody's
        if (request.ended) continue;
        let accepted = 0;
        if (row === first) results[i] = yields ? { tokens: [] } : undefined;
        else {
          const onHost = request.choosesOnHost ? logits : undefined;
          const own = { tokens, logits: onHost, logprobs, row: first, drafts };
          const result = resultOf(request, own, V, activations);
          results[i] = result;
          accepted = Math.max(0, result.tokens.length - 1);
          this.counts.generatedTokens += accepted;
        }
        const finish = results[i]?.finish;
        if (finish !== 'error') this.#share(request, end - drafts + accepted);
        if (finish !== undefined) request.ended = true;
      }
      this.counts.steps++;
      this.counts.computedTokens += computed;
      await this.speculating?.follow(all, results);
      if (this.speculating) {
        const { drafted, accepted, failed, error } = this.speculating.counts;
        const { counts } = this;
        counts.draftedTokens = drafted;
        counts.acceptedTokens = accepted;
        counts.failedDrafts = failed;
        counts.draftError = error;
      }
      const times = { step, sequences: sequences.length, tokens: computed, planned, begun, submitted, read };
      this.#onStep?.({ ...times, completed: performance.now() });
      return results;
    } catch (error) {
      this.#note(error);
      for (const { request } of all) request.ended = true;
      throw error;
    }
  }

  /**
   * Tells the cache the tokens that are computed by now, and takes back drafts that were wrong. Only now: what a failed step has left
   * is never shared.
   */
  #share({ kv, stream, promptTokens, flights }: ScheduledGeneration, end: number): void {
    if (flights === 0 && kv!.length > end) kv!.truncate(end);
    if (Math.max(promptTokens, end) > this.#shareUpTo) return;
    const prompt = this.#deterministic ? wholeChunks(promptTokens, this.#deterministic) : end;
    const known = Math.min(end, kv!.length, prompt);
    if (known > kv!.known) kv!.know(stream.slice(kv!.known, known));
  }

  /** Submits a forward pass, and counts its rows as written in the same turn. */
  #runForward(rows: StepRows, batch: KvBatch, forward = this.#forward): Promise<Tensor> {
    const running = forward.run(rows, batch);
    batch.advance();
    return running;
  }
}
