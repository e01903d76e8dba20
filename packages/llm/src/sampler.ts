import { ArgumentError, calledAs, checkArguments } from '@heddle/tensor';
import { drawToken } from './sampling/draw.ts';
import type { LogitFilter } from './sampling/filters.ts';
import { filtersOf, type SamplerOptions, type SamplingSettings, settingsOf } from './sampling/options.ts';

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
  /** What it does, for a device: an engine then chooses there, and `sample` is not called. Those of `sampler()` have it. */
  readonly settings?: SamplingSettings;
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

/** Always the most likely token; among equals that of the lowest id. */
export function greedy(): Sampler {
  return { name: 'greedy', takesMostLikely: true, sample: firstMaximum };
}

/**
 * The usual sampler: biases, penalties and masks, then temperature, top-k, top-p, min-p, typical and the cut-offs, then a draw.
 * An engine computes it on the device, for each request with its own values; `sample` is the same on the host.
 *
 * @returns Where the temperature is 0 a sampler (which keeps the seed) that takes the most likely token, after the penalties.
 * @throws ArgumentError if an option is out of range or is none.
 */
export function sampler(options: SamplerOptions = {}): SeededSampler {
  const settings = settingsOf(
    options,
    calledAs('sampler', () => seedOf(options?.seed)),
  );
  const { seed } = settings;
  const { always, drawing } = calledAs('sampler', () => filtersOf(options, settings));
  const own = Object.keys(options.parameters ?? {});
  if (options.temperature === 0) {
    if (always.length === 0 && own.length === 0) return { ...greedy(), seed, settings };
    return {
      name: ['greedy', ...always.map(({ name }) => name), ...own].join(', '),
      seed,
      settings,
      sample: (logits, context) => firstMaximum(filtered(logits, refuseOwn(own, always), context)),
    };
  }
  const draw = filteredSampler([...always, ...drawing], options.seed ?? seed);
  return {
    ...draw,
    name: [draw.name, ...own].join(', '),
    repeats: options.seed !== undefined,
    settings,
    sample: (logits, context) => {
      refuseOwn(own, always);
      return draw.sample(logits, context);
    },
  };
}

/** @throws ArgumentError: what a stage of one's own does is known to the device alone */
function refuseOwn<T>(own: readonly string[], filters: T): T {
  if (own.length === 0) return filters;
  throw new ArgumentError(
    `sample: ${own.join(', ')} are parameters of stages of one's own, which run on the device alone`,
  );
}

/** What filters leave of logits, which are checked before and stay as they are. */
function filtered(
  logits: Float32Array,
  filters: readonly LogitFilter[],
  { tokens, step }: SampleContext,
): Float32Array {
  firstMaximum(logits);
  const left = logits.slice();
  for (const filter of filters) filter.apply(left, tokens, step);
  return left;
}

/**
 * Draws a token by the softmax of the logits that the filters leave, applied in order.
 *
 * The draw is `drawToken`'s: it depends on the seed, the sequence, the step and the token ids alone, not on what was drawn
 * before or beside it.
 *
 * @param named the seed, an integer from 0 to 2^53 - 1; drawn from the system's randomness if absent
 * @throws ArgumentError if the seed is out of range.
 */
export function filteredSampler(filters: readonly LogitFilter[], named?: number): SeededSampler {
  checkFilters(filters);
  checkArguments('filteredSampler', 'list', { filters });
  const seed = calledAs('filteredSampler', () => seedOf(named));
  return {
    name: ['draw', ...filters.map((filter) => filter.name)].join(', '),
    seed,
    repeats: named !== undefined,
    sample(logits, context) {
      const left = filtered(logits, filters, context);
      // for its checks, of what the filters made of the logits
      firstMaximum(left);
      return drawToken(left, { seed, sequence: context.sequence, step: context.step });
    },
  };
}

function seedOf(named: number | undefined): number {
  const seed = named === undefined ? randomSeed() : named;
  if (Number.isSafeInteger(seed) && seed >= 0) return seed;
  throw new ArgumentError(`sampler: seed must be an integer from 0 to 2^53 - 1, got ${String(seed)}`);
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

function checkFilters(filters: readonly LogitFilter[]): void {
  checkArguments('filteredSampler', 'list', { filters });
  checkArguments(
    'filteredSampler',
    'object',
    Object.fromEntries(filters.map((filter, i) => [`filters[${i}]`, filter])),
  );
  for (const [i, { apply }] of filters.entries())
    checkArguments('filteredSampler', 'function', { [`filters[${i}].apply`]: apply });
}
