import { ArgumentError, threefry2x32, uniformFromBits } from '@heddle/tensor';
import { checkOptions } from './check-options.ts';
import { type LogitFilter, minP, softmaxWeights, temperature, topK, topP } from './sampling/filters.ts';
import { noRepeatNgram, repetitionPenalty } from './sampling/repetition.ts';

/** Where in which sequence a token is chosen. */
export interface SampleContext {
  /** How many tokens this sequence has generated before, from 0. */
  readonly step: number;
  /** Tells sequences apart that share a sampler, so that they draw different numbers; an integer from 0, below 2^32. */
  readonly sequence: number;
  /** The sequence so far, prompt and generated; penalties of repetition look at it. */
  readonly tokens?: readonly number[];
}

/** Chooses the next token. A sampler is a value without state: the same logits and context give the same token. */
export interface Sampler {
  readonly name: string;
  /** True where it always takes the most likely token: a device can do that without copying the logits to the host. */
  readonly takesMostLikely?: boolean;
  /**
   * True where its seed was named, and not drawn: a request then draws the same whenever it is asked for, whatever was asked
   * for before. Otherwise requests that share the sampler draw different numbers.
   */
  readonly repeats?: boolean;
  /**
   * @param logits [V], left as they are.
   * @returns A token id, from 0 to V - 1.
   * @throws ArgumentError if a logit is NaN or +Infinity, or none is finite.
   */
  sample(logits: Float32Array, context: SampleContext): number;
}

/** A sampler that draws at random, with the seed that repeats its draws. */
export interface SeededSampler extends Sampler {
  readonly seed: number;
}

/** How to draw; what is absent does not restrict. */
export interface SamplerOptions {
  /** 0 is greedy; 1 if absent. */
  readonly temperature?: number;
  /** Keep so many most likely tokens, after the temperature. */
  readonly topK?: number;
  /** Keep the most likely tokens that make up this probability, after top-k. */
  readonly topP?: number;
  /** Keep the tokens at least so likely as this share of the most likely one, after top-p. */
  readonly minP?: number;
  /** Makes tokens that have occurred less likely, before anything else; 1 changes nothing. */
  readonly repetitionPenalty?: number;
  /** Let no sequence of so many tokens occur twice. */
  readonly noRepeatNgramSize?: number;
  /** An integer from 0 to 2^53 - 1; drawn from the system's randomness if absent. */
  readonly seed?: number;
}

/** Always the most likely token; among equals that of the lowest id. */
export function greedy(): Sampler {
  return { name: 'greedy', takesMostLikely: true, sample: firstMaximum };
}

const optionNames = ['temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'noRepeatNgramSize', 'seed'] as const;

/**
 * The usual sampler: penalties of repetition, then temperature, top-k, top-p, min-p, then a draw.
 *
 * @returns Where the temperature is 0 a sampler (which keeps the seed) that takes the most likely token, after the penalties.
 * @throws ArgumentError if an option is out of range or is none.
 */
export function sampler(options: SamplerOptions = {}): SeededSampler {
  checkOptions('sampler', options, optionNames);
  const penalties: LogitFilter[] = [];
  if (options.repetitionPenalty !== undefined && options.repetitionPenalty !== 1)
    penalties.push(repetitionPenalty(options.repetitionPenalty));
  if (options.noRepeatNgramSize !== undefined) penalties.push(noRepeatNgram(options.noRepeatNgramSize));
  const filters = [...penalties];
  if (options.temperature !== undefined && options.temperature !== 0 && options.temperature !== 1) {
    filters.push(temperature(options.temperature));
  }
  if (options.topK !== undefined) filters.push(topK(options.topK));
  if (options.topP !== undefined) filters.push(topP(options.topP));
  if (options.minP !== undefined) filters.push(minP(options.minP));
  const drawing = filteredSampler(filters, options.seed);
  if (options.temperature !== 0) return drawing;
  const { seed } = drawing;
  if (penalties.length === 0) return { ...greedy(), seed };
  return {
    name: ['greedy', ...penalties.map(({ name }) => name)].join(', '),
    seed,
    sample: (logits, { tokens }) => firstMaximum(filtered(logits, penalties, tokens)),
  };
}

/** What filters leave of logits, which are checked before and stay as they are. */
function filtered(
  logits: Float32Array,
  filters: readonly LogitFilter[],
  tokens: readonly number[] | undefined,
): Float32Array {
  firstMaximum(logits);
  const left = logits.slice();
  for (const filter of filters) filter.apply(left, tokens);
  return left;
}

/**
 * Draws a token by the softmax of the logits that the filters leave, applied in order.
 *
 * The draw depends on the seed, the sequence and the step alone (a counter-based generator), not on what was drawn
 * before or beside it.
 *
 * @param named the seed, an integer from 0 to 2^53 - 1; drawn from the system's randomness if absent
 * @throws ArgumentError if the seed is out of range.
 */
export function filteredSampler(filters: readonly LogitFilter[], named?: number): SeededSampler {
  const seed = named ?? randomSeed();
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new ArgumentError(`sampler: seed must be an integer from 0 to 2^53 - 1, got ${String(seed)}`);
  }
  return {
    name: ['draw', ...filters.map((filter) => filter.name)].join(', '),
    seed,
    repeats: named !== undefined,
    sample(logits, { step, sequence, tokens }) {
      const left = filtered(logits, filters, tokens);
      // for its checks, of what the filters made of the logits
      firstMaximum(left);
      const uniform = uniformFromBits(threefry2x32(seed % 2 ** 32, Math.floor(seed / 2 ** 32), step, sequence));
      return drawToken(left, uniform);
    },
  };
}

/** The token at which the running sum of the softmax passes `uniform`. */
function drawToken(logits: Float32Array, uniform: number): number {
  const { weights, total } = softmaxWeights(logits);
  const target = uniform * total;
  let sum = 0;
  let last = -1;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id]!;
    if (weight === 0) continue;
    sum += weight;
    last = id;
    if (sum > target) return id;
  }
  // Rounding can leave the target at the whole sum: the last token that has a weight.
  return last;
}

function firstMaximum(logits: Float32Array): number {
  let best = -1;
  let top = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > top) {
      top = logit;
      best = id;
    } else if (Number.isNaN(logit)) {
      throw new ArgumentError(`sample: logits must be numbers, got NaN for token ${id} of ${logits.length}`);
    }
  }
  if (Number.isFinite(top)) return best;
  const got = best < 0 ? 'none' : `+Infinity for token ${best}`;
  throw new ArgumentError(`sample: the largest of ${logits.length} logits must be finite, got ${got}`);
}

function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high! >>> 11) * 2 ** 32 + low!;
}
