import { ArgumentError, checkArguments } from '@heddle/tensor';
import type { EngineStats } from './engine.ts';

type Metric = readonly [name: string, type: 'counter' | 'gauge', help: string, value: (stats: EngineStats) => number];

const metrics: readonly Metric[] = [
  ['steps_total', 'counter', 'Steps of the engine.', (stats) => stats.steps],
  ['computed_tokens_total', 'counter', 'Token rows that were computed.', (stats) => stats.computedTokens],
  ['generated_tokens_total', 'counter', 'Tokens that were chosen.', (stats) => stats.generatedTokens],
  ['requests_running', 'gauge', 'Requests that hold a part of the cache.', (stats) => stats.running],
  ['requests_waiting', 'gauge', 'Requests that wait.', (stats) => stats.waiting],
  ['steps_in_flight', 'gauge', 'Steps that were submitted and not read.', (stats) => stats.stepsInFlight],
  ['cache_tokens', 'gauge', 'Tokens in the cache, of running requests.', ({ cache }) => cache.tokens],
  ['cache_token_capacity', 'gauge', 'Tokens that fit in the cache.', ({ cache }) => cache.tokenCapacity],
  ['cache_blocks', 'gauge', 'Blocks of the cache.', ({ cache }) => cache.blocks],
  ['cache_blocks_used', 'gauge', 'Blocks that requests hold.', ({ cache }) => cache.blocksUsed],
  ['cache_blocks_kept', 'gauge', 'Blocks that are kept for prompts to come.', ({ cache }) => cache.blocksCached],
  ['cache_bytes', 'gauge', 'Device memory of the cache.', ({ cache }) => cache.bytes],
  ['cache_hit_tokens_total', 'counter', 'Tokens of prompts that were found.', ({ cache }) => cache.hitTokens],
  ['cache_miss_tokens_total', 'counter', 'Tokens of prompts that were not found.', ({ cache }) => cache.missTokens],
  ['cache_evictions_total', 'counter', 'Blocks that were forgotten to make room.', ({ cache }) => cache.evictions],
];

/**
 * What an engine says of itself in the text format of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats), for a server to give as `text/plain; version=0.0.4`.
 *
 * @param options prefix begins every name (default `heddle_engine_`); labels go with every value
 * @throws ArgumentError for a prefix or a label's name that Prometheus does not take
 */
export function prometheusText(
  stats: EngineStats,
  options: { readonly prefix?: string; readonly labels?: Readonly<Record<string, string>> } = {},
): string {
  checkArguments('prometheusText', 'object', { stats, options });
  checkArguments('prometheusText', 'number', { 'stats.steps': stats.steps });
  checkArguments('prometheusText', 'object', { 'stats.cache': stats.cache });
  const { prefix = 'heddle_engine_', labels = {} } = options;
  if (!/^[a-zA-Z_:][\w:]*$/.test(prefix))
    throw new ArgumentError(
      `prometheusText: prefix must be of letters, digits, _ and :, got ${JSON.stringify(prefix)}`,
    );
  const named = Object.entries(labels).map(([name, value]) => {
    if (!/^[a-zA-Z_]\w*$/.test(name))
      throw new ArgumentError(`prometheusText: a label must be of letters, digits and _, got ${JSON.stringify(name)}`);
    return `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
  });
  const braces = named.length > 0 ? `{${named.join(',')}}` : '';
  return metrics
    .map(([name, type, help, value]) => {
      const full = `${prefix}${name}`;
      return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full}${braces} ${value(stats)}\n`;
    })
    .join('');
}
