import type { ScheduledSequence, SequenceResult } from '@heddle/batcher';
import { ArgumentError } from '@heddle/tensor';
import { type DraftCosts, Pace } from '../speculation/pace.ts';
import type { DraftedEngine, Drafter, DraftWish, Speculation } from '../speculation/speculation.ts';
import { StepCosts } from '../speculation/step-costs.ts';
import type { ScheduledGeneration } from './request.ts';

/** What is guessed of a request. */
export interface Guessing {
  readonly pace: Pace;
  /** What its next step verifies, if it has drafts. */
  drafts: readonly number[];
  /** Tokens that steps of it had as drafts, and those that were right. */
  drafted: number;
  accepted: number;
  /** Whether the drafter failed for it: it goes on without guesses. */
  failed: boolean;
  /** Whether the drafter was told that it ended or lost its place, since it was last asked. */
  forgotten: boolean;
  /** When its last token came, in ms; NaN before the first since it was admitted. */
  since: number;
}

/** How a request differs from its engine in speculation: not at all, or with fewer drafts at once. */
export type SpeculationWish = false | { readonly maxDrafts: number };

type Results = (SequenceResult | undefined)[];
/** The guesses of each wish; nothing of those for which the drafter failed. */
type Guesses = readonly (readonly number[] | undefined)[];

/** The guesses of an engine: makes them when tokens have come, and learns from what became of them. */
export class Speculating {
  readonly #speculation: Speculation;
  readonly #engine: DraftedEngine;
  readonly #drafter: Drafter;
  readonly #beyond: number;
  readonly #clock: () => number;
  readonly #measured = new StepCosts();
  readonly #costs: DraftCosts;
  readonly counts: { drafted: number; accepted: number; failed: number; error: unknown } = {
    drafted: 0,
    accepted: 0,
    failed: 0,
    error: undefined,
  };

  /**
   * @param beyond no step goes beyond this length with drafts
   * @param clock in ms
   * @throws what opening the drafter throws
   */
  constructor(
    speculation: Speculation,
    engine: DraftedEngine,
    beyond: number,
    clock: () => number = () => performance.now(),
  ) {
    this.#speculation = speculation;
    this.#engine = engine;
    this.#drafter = speculation.open(engine);
    this.#beyond = beyond;
    this.#clock = clock;
    const cost = speculation.cost?.bind(speculation);
    this.#costs = cost ? { cost: (drafts) => cost(drafts, engine), refill: 0, unknown: false } : this.#measured;
  }

  /** Whether sequences wait for guesses from their beginning. */
  get waits(): boolean {
    return !this.#speculation.instant;
  }

  /** @throws ArgumentError */
  begin(wish: SpeculationWish | undefined): Guessing | undefined {
    if (wish === false) return undefined;
    const { maxDrafts } = this.#speculation;
    const most = wish?.maxDrafts ?? maxDrafts;
    if (!(Number.isInteger(most) && most >= 1 && most <= maxDrafts))
      throw new ArgumentError(
        `generate: speculation takes maxDrafts from 1 to ${maxDrafts}, that of the engine, got ${String(most)}`,
      );
    const pace = new Pace(most, this.#costs);
    return { pace, drafts: [], drafted: 0, accepted: 0, failed: false, forgotten: false, since: Number.NaN };
  }

  /**
   * Guesses what follows the tokens of a step; its results then say how much. Guesses change no token, so a request for which the
   * drafter fails goes on without them, and the others of the step have theirs.
   */
  async follow(chunks: readonly ScheduledSequence<ScheduledGeneration>[], results: Results): Promise<void> {
    const wishes: DraftWish[] = [];
    const places: number[] = [];
    const now = this.#clock();
    const plain = { ms: 0, count: 0 };
    for (let i = 0; i < chunks.length; i++) {
      const { request, drafts } = chunks[i]!;
      const { guessing } = request;
      const result = results[i];
      if (!guessing || !result || result.tokens.length === 0) continue;
      this.#measure(guessing, drafts, now, plain);
      this.#learn(guessing, drafts, result.tokens.length);
      guessing.drafts = [];
      if (result.finish || guessing.failed) continue;
      const count = this.#room(request);
      request.serial = request.choosesOnHost || (this.waits && count > 0);
      if (count === 0 || (this.waits && request.flights > 0)) continue;
      const { id, stream: tokens, promptTokens, sampler, sequence } = request;
      places.push(i);
      wishes.push({ id, tokens, promptTokens, count, sampler, sequence });
    }
    if (plain.count > 0) this.#measured.plain(plain.ms / plain.count);
    if (wishes.length === 0) return;
    const asked = places.map((i) => chunks[i]!.request);
    for (const { guessing } of asked) guessing!.forgotten = false;
    let found: Guesses;
    try {
      const given = this.#drafter.draft(wishes);
      found = this.#checked('then' in given ? await given : given, wishes);
    } catch (error) {
      found = await this.#oneByOne(wishes, asked, error);
    }
    for (const [w, i] of places.entries()) {
      const drafts = found[w];
      if (drafts) this.#offer(asked[w]!, drafts, wishes[w]!, results, i);
    }
  }

  /** A request is no longer admitted. */
  end({ id, guessing }: ScheduledGeneration): void {
    if (!guessing) return;
    guessing.forgotten = true;
    guessing.since = Number.NaN;
    try {
      this.#drafter.end(id);
    } catch (error) {
      this.counts.error = error;
    }
  }

  dispose(): void {
    this.#drafter[Symbol.dispose]();
  }

  /** Asks again, for each wish by itself, after a call for all of them has failed with `first`. */
  async #oneByOne(
    wishes: readonly DraftWish[],
    asked: readonly ScheduledGeneration[],
    first: unknown,
  ): Promise<Guesses> {
    const found: (readonly number[] | undefined)[] = [];
    for (const [w, wish] of wishes.entries()) {
      const request = asked[w]!;
      try {
        if (wishes.length === 1) throw first;
        // what has ended meanwhile would stay with the drafter
        const given = request.guessing!.forgotten ? [[]] : await this.#drafter.draft([wish]);
        found.push(this.#checked(given, [wish])[0]);
      } catch (error) {
        this.counts.failed++;
        this.counts.error = error;
        request.guessing!.failed = true;
        request.serial = request.choosesOnHost;
        this.end(request);
        found.push(undefined);
      }
    }
    return found;
  }

  /** @throws ArgumentError unless there are guesses of each wish */
  #checked(given: Guesses, wishes: readonly DraftWish[]): Guesses {
    const wrong = wishes.findIndex((_, w) => !Array.isArray(given[w]));
    if (Array.isArray(given) && given.length === wishes.length && wrong < 0) return given;
    throw new ArgumentError(
      `${this.#speculation.name}: draft must give an array of tokens for each of ${wishes.length} wishes, got ${
        Array.isArray(given) ? `${given.length}, and ${String(given[wrong])} for one` : String(given)
      }`,
    );
  }

  #offer(
    request: ScheduledGeneration,
    given: readonly number[],
    { count }: DraftWish,
    results: Results,
    i: number,
  ): void {
    const V = this.#engine.model.config.vocabularySize;
    const wrong = given.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < V));
    const drafts = given.slice(0, wrong < 0 ? count : Math.min(wrong, count));
    if (!this.waits) request.serial = request.choosesOnHost || drafts.length > 0;
    // what was guessed while a step of it is in flight tells only that it should wait for the next
    if (request.flights > 0 || drafts.length === 0) return;
    request.guessing!.drafts = drafts;
    results[i] = { ...results[i]!, drafts: drafts.length };
  }

  /** Sees how long the tokens of a step took since those before. @param plain times of sequences without drafts, summed */
  #measure(guessing: Guessing, drafts: number, now: number, plain: { ms: number; count: number }): void {
    const ms = now - guessing.since;
    guessing.since = now;
    if (Number.isNaN(ms)) return;
    if (drafts > 0) this.#measured.verified(drafts, ms);
    else if (guessing.pace.verifies) this.#measured.refilled(ms);
    else {
      plain.ms += ms;
      plain.count++;
    }
  }

  #learn(guessing: Guessing, drafts: number, tokens: number): void {
    if (drafts === 0) {
      guessing.pace.passed(tokens);
      return;
    }
    const right = Math.min(drafts, tokens - 1);
    guessing.pace.verified(drafts, right);
    guessing.drafted += drafts;
    guessing.accepted += right;
    this.counts.drafted += drafts;
    this.counts.accepted += right;
  }

  /** How many tokens it makes sense to guess: the last one of a request is not computed. */
  #room({ guessing, stream, promptTokens, maxTokens }: ScheduledGeneration): number {
    const left = promptTokens + maxTokens - stream.length - 1;
    const short = stream.length <= this.#beyond ? this.#beyond - stream.length : Number.POSITIVE_INFINITY;
    return Math.max(0, Math.min(guessing!.pace.length, left, short));
  }
}
