/**
 * Rotary position embedding of one attention head, as a model's configuration states it
 * (https://arxiv.org/abs/2104.09864).
 */
export interface RotarySpec {
  /** Base of the frequencies, positive. */
  readonly theta: number;
  /** How many of the head's components are rotated: even, the first ones, all of them in most models. */
  readonly dim: number;
  readonly scaling: RotaryScaling;
}

/** How frequencies are changed so that a model reaches past the context of its pretraining. */
export type RotaryScaling =
  | DefaultRotary
  | LinearRotary
  | DynamicRotary
  | Llama3Rotary
  | YarnRotary
  | LongRopeRotary
  | ProportionalRotary;

/** Frequencies as they are. */
export interface DefaultRotary {
  readonly kind: 'default';
}

/** Position interpolation (https://arxiv.org/abs/2306.15595): every frequency is divided by `factor`. */
export interface LinearRotary {
  readonly kind: 'linear';
  readonly factor: number;
}

/** The base grows with the length of the sequence once it is past `maxPositions` ("dynamic NTK"). */
export interface DynamicRotary {
  readonly kind: 'dynamic';
  readonly factor: number;
  /** Positions that the model takes without scaling. */
  readonly maxPositions: number;
}

/** Llama 3.1: long wavelengths are divided by `factor`, short ones kept, those between blended. */
export interface Llama3Rotary {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  /** Greater than `lowFrequencyFactor`. */
  readonly highFrequencyFactor: number;
  /** Positions of the pretraining. */
  readonly originalMaxPositions: number;
}

/** YaRN (https://arxiv.org/abs/2309.00071): interpolated and kept frequencies, joined by a ramp over the components. */
export interface YarnRotary {
  readonly kind: 'yarn';
  readonly factor: number;
  /** Positions of the pretraining. */
  readonly originalMaxPositions: number;
  /** Scale of cosine and sine; where absent it follows from `factor`, and from both mscales where they are given. */
  readonly attentionFactor?: number;
  /** Rotations over the original context above which a component is kept; usually 32. */
  readonly betaFast: number;
  /** Rotations over the original context below which a component is interpolated; usually 1. */
  readonly betaSlow: number;
  readonly mscale?: number;
  readonly mscaleAllDim?: number;
  /** Whether the ends of the ramp are rounded outwards to whole components. */
  readonly truncate: boolean;
}

/** LongRoPE (https://arxiv.org/abs/2402.13753): a divisor for each component, one list for short and one for long sequences. */
export interface LongRopeRotary {
  readonly kind: 'longrope';
  readonly factor: number;
  /** dim / 2 divisors, for sequences of at most `originalMaxPositions`. */
  readonly shortFactors: readonly number[];
  /** dim / 2 divisors, for longer sequences. */
  readonly longFactors: readonly number[];
  /** Positions of the pretraining. */
  readonly originalMaxPositions: number;
  /** Scale of cosine and sine; where absent it follows from `factor`. */
  readonly attentionFactor?: number;
}

/** Gemma 4: the highest frequencies of a whole head turn, the pairs of the others stand still. */
export interface ProportionalRotary {
  readonly kind: 'proportional';
  /** Share of the pairs that turn, in (0, 1]. */
  readonly share: number;
  /** Divides every frequency. */
  readonly factor: number;
}
