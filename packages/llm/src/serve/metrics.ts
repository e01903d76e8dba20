import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { NumberedPart } from './answers.ts';
import type { ServedModel, ServedStats } from './models/served-model.ts';

const seconds = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const labelNames = ['model_name'];

/** Of models that can say; one that has just died cannot. */
async function standing(models: readonly ServedModel[]): Promise<(readonly [string, ServedStats])[]> {
  const all = models.filter(({ ready }) => ready).map(async (model) => [model.id, await model.stats()] as const);
  return (await Promise.allSettled(all)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}

/** Figures of a server for Prometheus, under vLLM's names where it has them. */
export class ServerMetrics {
  readonly registry: Registry = new Registry();
  readonly #prompt: Counter;
  readonly #cached: Counter;
  readonly #generated: Counter;
  readonly #finished: Counter;
  readonly #first: Histogram;
  readonly #between: Histogram;
  readonly #whole: Histogram;
  readonly #responses: Counter;

  constructor(models: readonly ServedModel[]) {
    const registers = [this.registry];
    const counter = (name: string, help: string, more: readonly string[] = []) =>
      new Counter({ name, help, labelNames: [...labelNames, ...more], registers });
    const histogram = (name: string, help: string) =>
      new Histogram({ name, help, labelNames, buckets: seconds, registers });
    this.#prompt = counter('vllm:prompt_tokens_total', 'Tokens of prompts');
    this.#cached = counter('vllm:prefix_cache_hits_total', 'Tokens of prompts that the cache had');
    this.#generated = counter('vllm:generation_tokens_total', 'Tokens generated');
    this.#finished = counter('vllm:request_success_total', 'Generations that ended', ['finished_reason']);
    this.#first = histogram('vllm:time_to_first_token_seconds', 'Time to the first token');
    this.#between = histogram('vllm:time_per_output_token_seconds', 'Time between tokens');
    this.#whole = histogram('vllm:e2e_request_latency_seconds', 'Time of whole generations');
    this.#responses = new Counter({
      name: 'heddle:http_responses_total',
      help: 'Responses by path and status',
      labelNames: ['path', 'status'],
      registers,
    });
    const gauges = [
      ['vllm:num_requests_running', 'Generations that hold a part of the cache', 'running'],
      ['vllm:num_requests_waiting', 'Generations that wait', 'waiting'],
      ['vllm:kv_cache_usage_perc', 'How much of the cache is taken, from 0 to 1', 'cacheUsage'],
    ] as const;
    for (const [name, help, field] of gauges)
      new Gauge({
        name,
        help,
        labelNames,
        registers,
        async collect() {
          for (const [id, stats] of await standing(models)) this.set({ model_name: id }, stats[field]);
        },
      });
    new Gauge({
      name: 'heddle:device_memory_bytes',
      help: 'Memory that a model takes of its device',
      labelNames,
      registers,
      async collect() {
        for (const [id, { memoryBytes }] of await standing(models))
          if (memoryBytes !== undefined) this.set({ model_name: id }, memoryBytes);
      },
    });
    new Gauge({
      name: 'heddle:cache_tier_tokens',
      help: 'Tokens of prompts that the cache keeps, by where',
      labelNames: [...labelNames, 'tier'],
      registers,
      async collect() {
        for (const [id, { tiers = [] }] of await standing(models))
          for (const { name, tokens } of tiers) this.set({ model_name: id, tier: name }, tokens);
      },
    });
  }

  responded(path: string, status: number): void {
    this.#responses.inc({ path, status });
  }

  /** The parts of generations, counted as they pass. */
  async *counted(model: string, parts: AsyncIterable<NumberedPart>): AsyncGenerator<NumberedPart, undefined> {
    const label = { model_name: model };
    const began = performance.now();
    const last = new Map<number, number>();
    for await (const numbered of parts) {
      const { index, part } = numbered;
      const now = performance.now();
      if (part.type === 'finish') {
        this.#prompt.inc(label, part.usage.inputTokens);
        this.#cached.inc(label, part.usage.cachedTokens);
        this.#finished.inc({ ...label, finished_reason: part.finishReason });
        this.#whole.observe(label, (now - began) / 1000);
      } else if (part.type !== 'start' && part.tokens.length > 0) {
        this.#generated.inc(label, part.tokens.length);
        const before = last.get(index);
        if (before === undefined) this.#first.observe(label, (now - began) / 1000);
        else this.#between.observe(label, (now - before) / 1000);
        last.set(index, now);
      }
      yield numbered;
    }
    return undefined;
  }
}
