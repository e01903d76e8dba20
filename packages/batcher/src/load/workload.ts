import { BatcherError } from '../errors.ts';
import { gamma, normal, type Random, seededRandom } from './random.ts';

/** Draws a number, a length in tokens for example. */
export type Distribution = (random: Random) => number;

/** Always the same. */
export function fixed(value: number): Distribution {
  return () => value;
}

/** Any whole number from `min` to `max`, both included. */
export function uniform(min: number, max: number): Distribution {
  return (random) => min + Math.floor(random() * (max - min + 1));
}

/** Whole numbers of at least 1 whose logarithm is normal; cut off at `max` where it is given. */
export function logNormal(options: {
  readonly median: number;
  readonly sigma: number;
  readonly max?: number;
}): Distribution {
  const { median, sigma, max = Number.POSITIVE_INFINITY } = options;
  return (random) => Math.min(max, Math.max(1, Math.round(median * Math.exp(sigma * normal(random)))));
}

/** One of the values, lengths from a log for example. @throws BatcherError ERR_ARGUMENT if there is none */
export function empirical(values: readonly number[]): Distribution {
  if (values.length === 0) throw new BatcherError('ERR_ARGUMENT', 'empirical: needs at least one value, got none');
  return (random) => values[Math.floor(random() * values.length)]!;
}

/**
 * When requests come: after gaps, whatever becomes of the earlier ones (open loop), or so that `concurrency` of them are
 * under way at any time (closed loop).
 */
export type Arrivals =
  | { readonly kind: 'open'; readonly gapMs: Distribution }
  | { readonly kind: 'closed'; readonly concurrency: number };

/** Open loop, gaps exponential: requests that know nothing of each other. */
export function poisson(options: { readonly perSecond: number }): Arrivals {
  return bursty({ ...options, burstiness: 1 });
}

/** Open loop, gaps gamma with shape `burstiness`: 1 is Poisson, less comes in bursts, more is evener. */
export function bursty(options: { readonly perSecond: number; readonly burstiness: number }): Arrivals {
  const { perSecond, burstiness } = options;
  if (!(perSecond > 0) || !(burstiness > 0)) {
    const got = `${perSecond} and ${burstiness}`;
    throw new BatcherError('ERR_ARGUMENT', `bursty: perSecond and burstiness must be greater than 0, got ${got}`);
  }
  return { kind: 'open', gapMs: (random) => (gamma(random, burstiness) * 1000) / perSecond };
}

/** Open loop, everything at time 0. */
export function allAtOnce(): Arrivals {
  return { kind: 'open', gapMs: () => 0 };
}

/** Closed loop: a fixed number of callers, each sending its next request when it has the answer to the last. */
export function closedLoop(options: { readonly concurrency: number }): Arrivals {
  return { kind: 'closed', concurrency: options.concurrency };
}

/** A request of a load. */
export interface LoadRequest {
  readonly id: string;
  /** When it comes, in ms from the start; in a closed loop it comes when a caller is free. */
  readonly atMs: number;
  readonly promptTokens: number;
  /** Tokens after which it stops. */
  readonly newTokens: number;
  readonly tenant: string;
  /** Requests of one group share their first `prefixTokens` tokens. */
  readonly prefixGroup: number;
  readonly prefixTokens: number;
}

/** How `workload` draws. */
export interface WorkloadOptions {
  readonly requests: number;
  readonly arrivals: Arrivals;
  readonly promptTokens: Distribution;
  readonly newTokens: Distribution;
  /** Prompts begin with one of `groups` prefixes of `tokens` tokens (never the whole prompt). Default none. */
  readonly prefixes?: { readonly groups: number; readonly tokens: number };
  /** Names drawn with equal chance. Default one, ''. */
  readonly tenants?: readonly string[];
  readonly seed?: number;
}

/** Draws requests; the same seed draws the same ones. In order of arrival. */
export function workload(options: WorkloadOptions): LoadRequest[] {
  const { requests, arrivals, prefixes = { groups: 1, tokens: 0 }, tenants = [''], seed = 0 } = options;
  const random = seededRandom(seed);
  let atMs = 0;
  return Array.from({ length: requests }, (_, i) => {
    if (arrivals.kind === 'open') atMs += arrivals.gapMs(random);
    const promptTokens = options.promptTokens(random);
    return {
      id: `load-${i}`,
      atMs,
      promptTokens,
      newTokens: options.newTokens(random),
      tenant: tenants[Math.floor(random() * tenants.length)] ?? '',
      prefixGroup: Math.floor(random() * prefixes.groups),
      prefixTokens: Math.min(prefixes.tokens, promptTokens - 1),
    };
  });
}
