import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import type { KvStats } from '../kv-cache.ts';

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: string[];
  /** None: a metric is registered where the caller says, never in prom-client's global registry. */
  readonly registers: never[];
  /** Called when the registry is read. */
  readonly collect?: () => void;
}

/** The part of the module `prom-client` (15) that is used. */
export interface CachePromClient {
  readonly Gauge: new (options: MetricOptions) => { set(labels: Record<string, string>, value: number): void };
  readonly Counter: new (
    options: MetricOptions,
  ) => {
    inc(labels: Record<string, string>, value: number): void;
    reset(): void;
  };
}

/** Where metrics go and how they are called. */
export interface CachePrometheusOptions {
  /** `import client from 'prom-client'`. */
  readonly client: CachePromClient;
  /** A `Registry` of prom-client; a name can be registered in it once. */
  readonly registry: { registerMetric(metric: unknown): void };
  /** Begins every name. Default 'heddle_'. */
  readonly prefix?: string;
}

type Sample = readonly [labels: Record<string, string>, value: number];

/** Name, kind, help, labels and values of each metric. */
const metrics: readonly (readonly ['gauge' | 'counter', string, string, string[], (stats: KvStats) => Sample[]])[] = [
  ['gauge', 'kv_cache_sequences', 'Open sequences.', [], ({ sequences }) => [[{}, sequences]]],
  ['gauge', 'kv_cache_bytes', 'Device memory of the cache.', [], ({ bytes }) => [[{}, bytes]]],
  [
    'gauge',
    'kv_cache_blocks',
    'Blocks by use.',
    ['state'],
    ({ blocks, blocksUsed, blocksCached }) => [
      [{ state: 'used' }, blocksUsed],
      [{ state: 'cached' }, blocksCached],
      [{ state: 'free' }, blocks - blocksUsed - blocksCached],
    ],
  ],
  [
    'counter',
    'kv_cache_prompt_tokens_total',
    'Tokens of prompts, by whether they were found.',
    ['found'],
    ({ hitTokens, missTokens }) => [
      [{ found: 'true' }, hitTokens],
      [{ found: 'false' }, missTokens],
    ],
  ],
  ['counter', 'kv_cache_evictions_total', 'Blocks that were forgotten.', [], ({ evictions }) => [[{}, evictions]]],
  tierMetric('gauge', 'tier_tokens', 'Tokens that a tier has.', 'length'),
  tierMetric('gauge', 'tier_bytes', 'Bytes of a tier.', 'bytes'),
  tierMetric('counter', 'tier_hit_tokens_total', 'Tokens that were found in a tier.', 'hits'),
  tierMetric('counter', 'tier_miss_tokens_total', 'Tokens that were looked for in a tier in vain.', 'misses'),
  tierMetric('counter', 'tier_evicted_tokens_total', 'Tokens that have left a tier downwards.', 'evictions'),
  tierMetric('counter', 'tier_promoted_tokens_total', 'Tokens that were brought back from a tier.', 'promotions'),
];

function tierMetric(
  kind: 'gauge' | 'counter',
  name: string,
  help: string,
  of: 'length' | 'bytes' | 'hits' | 'misses' | 'evictions' | 'promotions',
): (typeof metrics)[number] {
  return [kind, `kv_cache_${name}`, help, ['tier'], ({ tiers }) => tiers.map((one) => [{ tier: one.name }, one[of]])];
}

/**
 * Registers what a cache says of itself with Prometheus, as it is whenever the registry is read.
 * @param stats `() => cache.stats()`
 * @throws what the registry throws for a name that it has already
 */
export function prometheusCache(stats: () => KvStats, options: CachePrometheusOptions): void {
  checkArguments('prometheusCache', 'function', { stats });
  checkOptions('prometheusCache', options, { client: 'object', registry: 'object', prefix: 'text?' });
  for (const name of ['Gauge', 'Counter'] as const)
    if (typeof options.client[name] !== 'function' || !('prototype' in options.client[name]))
      throw new ArgumentError(`prometheusCache: client must be prom-client, it has no class ${name}`);
  checkArguments('prometheusCache', 'function', { 'registry.registerMetric': options.registry.registerMetric });
  const { client, registry, prefix = 'heddle_' } = options;
  for (const [kind, name, help, labelNames, samples] of metrics) {
    const options = { name: `${prefix}${name}`, help, labelNames, registers: [] as never[] };
    if (kind === 'gauge') {
      const collect = () => {
        for (const [labels, value] of samples(stats())) gauge.set(labels, value);
      };
      const gauge = new client.Gauge({ ...options, collect });
      registry.registerMetric(gauge);
    } else {
      const collect = () => {
        counter.reset();
        for (const [labels, value] of samples(stats())) counter.inc(labels, value);
      };
      const counter = new client.Counter({ ...options, collect });
      registry.registerMetric(counter);
    }
  }
}
