import type { CausalLm } from '../models/causal-lm.ts';
import type { Sampler } from '../sampler.ts';

/** A sequence of which the next tokens are to be guessed. */
export interface DraftWish {
  /** Of its request; the same until `end`. */
  readonly id: string;
  /** Prompt and generated tokens, all that are known; valid during the call. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Most tokens to guess, at least 1. */
  readonly count: number;
  /** How its tokens are chosen, and what tells it from others with the same seed. */
  readonly sampler: Sampler;
  readonly sequence: number;
}

/** Guesses how the sequences of one engine go on. What it guesses changes how fast tokens come, and never which. */
export interface Drafter extends Disposable {
  /**
   * Guesses for each wish, at most as many tokens as it asks for, none where it has no guess. Called when the tokens of a step are
   * known. At once where the drafter is `instant`. If it throws for several wishes it is asked again for each alone; a request for
   * which it throws then goes on without guesses, and `stats()` of the engine has the error (`failedDrafts`, `draftError`).
   */
  draft(wishes: readonly DraftWish[]): readonly (readonly number[])[] | Promise<readonly (readonly number[])[]>;
  /** A request has ended, or lost its place. Idempotent. */
  end(id: string): void;
}

/** The engine that a drafter is for. */
export interface DraftedEngine {
  readonly model: CausalLm;
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  readonly maxBatchTokens: number;
}

/**
 * A way to guess tokens, several of which are then computed in one step: a value, which engines open. A guess is right where it is
 * the token that would have been chosen anyway.
 */
export interface Speculation {
  readonly name: string;
  /** Most tokens that are guessed of a sequence at once. */
  readonly maxDrafts: number;
  /**
   * Whether guessing takes no time, so that it can be tried after each token: an engine then goes on planning ahead where there is no
   * guess. Otherwise sequences wait for their guesses as long as these pay.
   */
  readonly instant: boolean;
  /**
   * What a step with so many drafts costs more than one without, in steps without: it pays where more of them are right. By default
   * what such steps of the engine take is measured.
   */
  cost?(drafts: number, engine: DraftedEngine): number;
  /** @throws ArgumentError where it does not fit the engine */
  open(engine: DraftedEngine): Drafter;
}
