import {
  aFunction,
  atLeast0,
  checkArgument,
  checkOptions,
  count,
  listOf,
  number,
  object,
  optional,
  positive,
  type Rule,
  text,
} from '../checks.ts';
import { gamma, normal, type Random, seededRandom } from './random.ts';

const integer: Rule = { what: 'an integer', holds: Number.isInteger };
const someNumbers: Rule = {
  what: 'an array of at least one number',
  holds: (value) => Array.isArray(value) && value.length > 0 && value.every(number.holds),
};
/** What `poisson`, `bursty`, `allAtOnce` and `closedLoop` give. */
export const arrivalsRule: Rule = {
  what: 'what poisson, bursty, allAtOnce or closedLoop gives',
  holds: (value) => {
    if (!object.holds(value)) return false;
    const arrivals = value as Arrivals;
    return arrivals.kind === 'open' ? aFunction.holds(arrivals.gapMs) : arrivals.kind === 'closed';
  },
};

/** Draws a number, a length in tokens for example. */
export type Distribution = (random: Random) => number;

/** Always the same. @throws BatcherError ERR_ARGUMENT */
export function fixed(value: number): Distribution {
  checkArgument('fixed', 'value', value, number);
  return () => value;
}

/** Any whole number from `min` to `max`, both included. @throws BatcherError ERR_ARGUMENT */
export function uniform(min: number, max: number): Distribution {
  checkArgument('uniform', 'min', min, integer);
  checkArgument('uniform', 'max', max, count(min));
  return (random) => min + Math.floor(random() * (max - min + 1));
}

/** Whole numbers of at least 1 whose logarithm is normal; cut off at `max` where it is given. @throws BatcherError ERR_ARGUMENT */
export function logNormal(options: {
  readonly median: number;
  readonly sigma: number;
  readonly max?: number;
}): Distribution {
  checkOptions('logNormal', options, { median: positive, sigma: atLeast0, max: optional(positive) });
  const { median, sigma, max = Number.POSITIVE_INFINITY } = options;
  return (random) => Math.min(max, Math.max(1, Math.round(median * Math.exp(sigma * normal(random)))));
}

/** One of the values, lengths from a log for example. @throws BatcherError ERR_ARGUMENT if there is none */
export function empirical(values: readonly number[]): Distribution {
  checkArgument('empirical', 'values', values, someNumbers);
  return (random) => values[Math.floor(random() * values.length)]!;
}

/**
 * When requests come: after gaps, whatever becomes of the earlier ones (open loop), or so that `concurrency` of them are
 * under way at any time (closed loop).
 */
export type Arrivals =
  | { readonly kind: 'open'; readonly gapMs: Distribution }
  | { readonly kind: 'closed'; readonly concurrency: number };

/** Open loop, gaps exponential: requests that know nothing of each other. @throws BatcherError ERR_ARGUMENT */
export function poisson(options: { readonly perSecond: number }): Arrivals {
  checkOptions('poisson', options, { perSecond: positive });
  return bursty({ ...options, burstiness: 1 });
}

/** Open loop, gaps gamma with shape `burstiness`: 1 is Poisson, less comes in bursts, more is evener. @throws BatcherError ERR_ARGUMENT */
export function bursty(options: { readonly perSecond: number; readonly burstiness: number }): Arrivals {
  checkOptions('bursty', options, { perSecond: positive, burstiness: positive });
  const { perSecond, burstiness } = options;
  return { kind: 'open', gapMs: (random) => (gamma(random, burstiness) * 1000) / perSecond };
}

/** Open loop, everything at time 0. */
export function allAtOnce(): Arrivals {
  return { kind: 'open', gapMs: () => 0 };
}

/**
 * Closed loop: a fixed number of callers, each sending its next request when it has the answer to the last.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function closedLoop(options: { readonly concurrency: number }): Arrivals {
  checkOptions('closedLoop', options, { concurrency: count(1) });
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

/** Draws requests; the same seed draws the same ones. In order of arrival. @throws BatcherError ERR_ARGUMENT */
export function workload(options: WorkloadOptions): LoadRequest[] {
  checkOptions<WorkloadOptions>('workload', options, {
    requests: count(0),
    arrivals: arrivalsRule,
    promptTokens: aFunction,
    newTokens: aFunction,
    prefixes: optional(object),
    tenants: optional(listOf(text)),
    seed: optional(number),
  });
  if (options.prefixes) checkOptions('workload: prefixes', options.prefixes, { groups: count(1), tokens: count(0) });
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

/** Requests as `workload` draws them, or of one's own. */
export const requestsRule: Rule = {
  what: 'an array of { id, atMs, promptTokens, newTokens, tenant, prefixGroup, prefixTokens }, as workload gives them',
  holds: (value) => Array.isArray(value) && value.every(isRequest),
};

function isRequest(value: unknown): boolean {
  if (!object.holds(value)) return false;
  const { id, tenant, ...numbers } = value as LoadRequest;
  const { atMs, promptTokens, newTokens, prefixGroup, prefixTokens } = numbers;
  return (
    text.holds(id) &&
    optional(text).holds(tenant) &&
    atLeast0.holds(atMs) &&
    [promptTokens, newTokens].every((tokens) => count(0).holds(tokens)) &&
    [prefixGroup, prefixTokens].every((tokens) => optional(count(0)).holds(tokens))
  );
}
