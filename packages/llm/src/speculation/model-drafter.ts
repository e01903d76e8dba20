import type { AttentionKernel } from '@heddle/attention';
import type { KvCache, KvSequence } from '@heddle/kvcache';
import type { Tensor, Variable } from '@heddle/tensor';
import { ForwardStep } from '../engine/steps/forward-step.ts';
import { SampleStep } from '../engine/steps/sample-step.ts';
import type { CausalLm } from '../models/causal-lm.ts';
import { greedy, type Sampler } from '../sampler.ts';
import { stageSampling } from '../sampling/device-sampling.ts';
import { standardStages } from '../sampling/stages/standard-stages.ts';
import type { DraftedEngine, Drafter, DraftWish } from './speculation.ts';

/** What stages look at nothing but logits. */
const alone = standardStages.filter(({ needs = [] }) => needs.length === 0);
const parametersAlone = new Set(alone.flatMap(({ parameters }) => Object.keys(parameters)));

/** A sequence as the small model has it. */
interface Followed {
  readonly kv: KvSequence;
  readonly lane: number;
  /** What its cache has the first tokens of, guesses among them. */
  tokens: number[];
}

/** One guess that is under way. */
interface Guess {
  readonly wish: DraftWish;
  readonly followed: Followed;
  readonly place: number;
  count: number;
  readonly sampler: Sampler;
  /** Tokens of it that are computed in the next run, from the end of its cache. */
  given: number;
}

/** Runs a small model ahead of the sequences of an engine, all of them together, without waiting for its tokens in between. */
export class ModelDrafter implements Drafter {
  readonly #cache: KvCache;
  readonly #forward: ForwardStep;
  readonly #sampling: SampleStep;
  readonly #chosen: Variable;
  readonly #maxBatchTokens: number;
  readonly #followed = new Map<string, Followed>();
  readonly #lanes: number[];
  readonly #samplers = new WeakMap<Sampler, Sampler>();
  /** Sequences that ended while a run had them; undefined while nothing runs. */
  #ended: Followed[] | undefined;

  /** @param cache becomes the drafter's */
  constructor(model: CausalLm, cache: KvCache, attention: AttentionKernel, { maxBatchTokens }: DraftedEngine) {
    const { device, config } = model;
    const { vocabularySize } = config;
    const { maxSequences, maxSequenceTokens } = cache;
    this.#cache = cache;
    this.#maxBatchTokens = maxBatchTokens;
    this.#lanes = Array.from({ length: maxSequences }, (_, i) => maxSequences - 1 - i);
    this.#chosen = device.zeroVariable([maxSequences], { dtype: 'i32', name: 'guessed', owner: 'engine' });
    this.#forward = new ForwardStep(model, attention, cache, this.#chosen, maxBatchTokens);
    const sampling = stageSampling(device, { maxSequences, maxSequenceTokens, vocabularySize }, alone);
    this.#sampling = new SampleStep(device, sampling, this.#chosen, { maxRows: maxSequences, vocabularySize });
  }

  async draft(wishes: readonly DraftWish[]): Promise<(readonly number[])[]> {
    const guesses = wishes.flatMap((wish, place) => this.#begin(wish, place) ?? []);
    const found: number[][] = wishes.map(() => []);
    if (guesses.length === 0) return found;
    const copies: Promise<void>[] = [];
    this.#ended = [];
    try {
      await this.#catchUp(guesses);
      for (let draft = 0; ; draft++) {
        const going = guesses.filter(({ count }) => count > draft);
        if (going.length === 0) break;
        copies.push((await this.#step(going, draft, found)).copied);
      }
      await Promise.all(copies);
    } finally {
      await Promise.allSettled(copies);
      for (const { followed, wish, place } of guesses) followed.tokens = [...wish.tokens, ...found[place]!];
      const ended = this.#ended;
      this.#ended = undefined;
      for (const followed of ended) this.#close(followed);
    }
    // what has no usable logits guesses nothing
    return found.map((tokens) => (tokens.includes(-1) ? tokens.slice(0, tokens.indexOf(-1)) : tokens));
  }

  end(id: string): void {
    const followed = this.#followed.get(id);
    if (!followed) return;
    this.#followed.delete(id);
    if (this.#ended) this.#ended.push(followed);
    else this.#close(followed);
  }

  [Symbol.dispose](): void {
    this.#forward.dispose();
    this.#sampling.dispose();
    this.#chosen.dispose();
    this.#cache.dispose();
  }

  #close({ kv, lane }: Followed): void {
    kv.dispose();
    this.#lanes.push(lane);
  }

  /** Takes back what was guessed wrong, and makes room; nothing where there is none. */
  #begin(wish: DraftWish, place: number): Guess | undefined {
    const { id, tokens } = wish;
    let followed = this.#followed.get(id);
    if (!followed) {
      const kv = this.#cache.sequence(id);
      if (typeof kv === 'string') return undefined;
      followed = { kv, lane: this.#lanes.pop()!, tokens: [] };
      this.#followed.set(id, followed);
    }
    const { kv } = followed;
    let same = 0;
    while (same < tokens.length - 1 && same < kv.length && followed.tokens[same] === tokens[same]) same++;
    if (kv.length > same) kv.truncate(same);
    const count = Math.min(wish.count, this.#cache.maxSequenceTokens - tokens.length + 1);
    if (count < 1 || !kv.reserve(tokens.length - kv.length + count - 1)) return undefined;
    return { wish, followed, place, count, sampler: this.#samplerOf(wish.sampler), given: 0 };
  }

  /** Computes all but the last tokens of sequences that are far behind. */
  async #catchUp(guesses: readonly Guess[]): Promise<void> {
    for (;;) {
      let left = this.#maxBatchTokens;
      const rows = guesses.map(({ wish, followed }) => wish.tokens.length - followed.kv.length);
      if (rows.reduce((a, b) => a + b, 0) <= left) return;
      const step = guesses.filter((guess, i) => {
        guess.given = Math.min(left, rows[i]! - 1);
        left -= guess.given;
        return guess.given > 0;
      });
      // more sequences than rows: the last ones are left out
      if (step.length === 0) return;
      await this.#run(step, []);
    }
  }

  /** One more token of each guess. Resolves when that is on its way to the device. */
  async #step(
    guesses: readonly Guess[],
    draft: number,
    found: number[][],
  ): Promise<{ readonly copied: Promise<void> }> {
    let left = this.#maxBatchTokens;
    const step = guesses.filter((guess) => {
      guess.given = guess.wish.tokens.length + draft - guess.followed.kv.length;
      if (guess.given > left) {
        guess.count = 0; // no room for it in this turn
        return false;
      }
      left -= guess.given;
      return true;
    });
    const ends: number[] = [];
    for (const { given } of step) ends.push((ends.at(-1) ?? -1) + given);
    const logits = await this.#run(step, ends);
    const choosing = step.map(({ followed, sampler, wish }) => ({
      lane: followed.lane,
      sampler,
      sequence: wish.sequence,
    }));
    const indices = step.map(({ wish }) => wish.tokens.length - wish.promptTokens + draft);
    const { tokens } = await this.#sampling.run(logits, choosing, indices);
    const copied = tokens.then((all) => {
      for (const [row, { place }] of step.entries()) found[place]!.push(Math.max(-1, all[row]!));
    });
    copied.catch(() => {});
    return { copied };
  }

  async #run(guesses: readonly Guess[], rows: readonly number[]): Promise<Tensor> {
    const batch = this.#cache.batch(guesses.map(({ followed, given }) => ({ sequence: followed.kv, tokens: given })));
    const tokens: number[] = [];
    for (const { wish, followed, given } of guesses)
      for (let at = followed.kv.length; at < followed.kv.length + given; at++)
        tokens.push(wish.tokens[at] ?? -1 - followed.lane);
    const sequenceLengths = batch.positions.map((position) => position + 1);
    const step = { tokens: Int32Array.from(tokens), rows: Int32Array.from(rows), sequenceLengths };
    const running = this.#forward.run(step, batch);
    batch.advance();
    return await running;
  }

  /** What a sampler does to logits alone, with its seed; the most likely token for one that chooses on the host. */
  #samplerOf(sampler: Sampler): Sampler {
    let own = this.#samplers.get(sampler);
    if (!own) {
      const { settings } = sampler;
      const kept = Object.entries(settings?.parameters ?? {}).filter(([name]) => parametersAlone.has(name));
      const greedily = !settings || sampler.takesMostLikely || settings.parameters.temperature === 0;
      own = greedily ? greedy() : { ...sampler, settings: { ...settings, parameters: Object.fromEntries(kept) } };
      this.#samplers.set(sampler, own);
    }
    return own;
  }
}
