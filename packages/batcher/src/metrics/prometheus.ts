import { aClass, checkOptions, count, having, object, optional, type Rule, text } from '../checks.ts';
import type { BatchObserver } from '../dynamic/dynamic-statistics.ts';
import type { SchedulerObserver } from '../scheduling/observe.ts';

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: string[];
  /** None: a metric is registered where the caller says, never in prom-client's global registry. */
  readonly registers: never[];
}

/** The part of the module `prom-client` (15) that is used. */
export interface PromClient {
  readonly Counter: new (options: MetricOptions) => { inc(labels: Record<string, string>, value: number): void };
  readonly Gauge: new (options: MetricOptions) => { set(value: number): void };
  readonly Histogram: new (options: MetricOptions & { readonly buckets: number[] }) => { observe(value: number): void };
}

/** Where metrics go and how they are called. */
export interface PrometheusOptions {
  /** `import client from 'prom-client'`. */
  readonly client: PromClient;
  /** A `Registry` of prom-client; a name can be registered in it once. */
  readonly registry: { registerMetric(metric: unknown): void };
  /** Begins every name. Default 'heddle_'. */
  readonly prefix?: string;
}

const RULES: { readonly [K in keyof Required<PrometheusOptions>]: Rule } = {
  client: {
    what: 'prom-client, with the classes Counter, Gauge and Histogram',
    holds: (value) =>
      object.holds(value) &&
      ['Counter', 'Gauge', 'Histogram'].every((name) => aClass.holds((value as { [name: string]: unknown })[name])),
  },
  registry: having('registerMetric'),
  prefix: optional(text),
};
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

/** Makes metrics and registers them. */
class Metrics {
  readonly #options: PrometheusOptions;

  constructor(options: PrometheusOptions) {
    this.#options = options;
  }

  counter(name: string, help: string, labelNames: string[] = []): InstanceType<PromClient['Counter']> {
    return this.#register(new this.#options.client.Counter({ ...this.#base(name, help), labelNames }));
  }

  gauge(name: string, help: string): InstanceType<PromClient['Gauge']> {
    return this.#register(new this.#options.client.Gauge(this.#base(name, help)));
  }

  histogram(name: string, help: string, buckets: number[]): InstanceType<PromClient['Histogram']> {
    return this.#register(new this.#options.client.Histogram({ ...this.#base(name, help), buckets }));
  }

  #base(name: string, help: string): MetricOptions {
    return { name: `${this.#options.prefix ?? 'heddle_'}${name}`, help, registers: [] };
  }

  #register<M>(metric: M): M {
    this.#options.registry.registerMetric(metric);
    return metric;
  }
}

/**
 * An observer of a scheduler (`observed(scheduler, ...)`) that keeps counters, gauges and histograms in a registry.
 *
 * @throws BatcherError ERR_ARGUMENT, or what the registry throws for a name that it has already
 */
export function prometheusScheduler(
  options: PrometheusOptions & { readonly maxBatchTokens: number },
): SchedulerObserver {
  checkOptions('prometheusScheduler', options, { ...RULES, maxBatchTokens: count(1) });
  const make = new Metrics(options);
  const requests = make.counter('requests_total', 'Requests by outcome.', ['outcome']);
  const tokens = make.counter('tokens_total', 'Tokens: computed, found in the cache, generated.', ['kind']);
  const preemptions = make.counter('preemptions_total', 'Sequences that gave up their room.');
  const waiting = make.gauge('requests_waiting', 'Requests that wait.');
  const running = make.gauge('requests_running', 'Sequences that hold capacity.');
  const batchSize = make.histogram('batch_size', 'Sequences in a step.', COUNTS);
  const budget = make.histogram('batch_budget_ratio', 'Share of the token budget that a step used.', SHARES);
  const wait = make.histogram('queue_wait_seconds', 'Time in the queue.', SECONDS);
  const firstToken = make.histogram('time_to_first_token_seconds', 'From arrival to the first token.', SECONDS);
  const interToken = make.histogram(
    'inter_token_seconds',
    'Between the moments at which a sequence got tokens.',
    SECONDS,
  );
  const endToEnd = make.histogram('request_seconds', 'From arrival to the end.', SECONDS);
  const lastToken = new Map<string, number>();
  return {
    added(_request, { accepted }, load) {
      if (!accepted) requests.inc({ outcome: 'rejected' }, 1);
      waiting.set(load.waiting);
    },
    planned(plan, load) {
      waiting.set(load.waiting);
      running.set(load.running);
      if (plan.sequences.length === 0) return;
      batchSize.observe(plan.sequences.length);
      budget.observe(plan.tokens / options.maxBatchTokens);
    },
    committed(plan, events, load) {
      waiting.set(load.waiting);
      running.set(load.running);
      tokens.inc({ kind: 'computed' }, plan.tokens);
      for (const event of events) {
        const { id, time } = event;
        if (event.type === 'token') {
          const last = lastToken.get(id);
          if (last !== undefined && last < time) interToken.observe((time - last) / 1000);
          lastToken.set(id, time);
          tokens.inc({ kind: 'generated' }, 1);
        } else if (event.type === 'admitted') {
          wait.observe(event.waitMs / 1000);
          tokens.inc({ kind: 'cached' }, event.cachedTokens);
        } else if (event.type === 'firstToken') firstToken.observe(event.sinceArrivalMs / 1000);
        else if (event.type === 'preempted') preemptions.inc({}, 1);
        else {
          lastToken.delete(id);
          requests.inc({ outcome: event.reason }, 1);
          if (event.reason === 'stop' || event.reason === 'length') endToEnd.observe(event.sinceArrivalMs / 1000);
        }
      }
    },
  };
}

/**
 * An observer of a dynamic batcher (its option `observers`) that keeps counters, gauges and histograms in a registry.
 *
 * @throws BatcherError ERR_ARGUMENT, or what the registry throws for a name that it has already
 */
export function prometheusBatches(options: PrometheusOptions): BatchObserver {
  checkOptions('prometheusBatches', options, RULES);
  const make = new Metrics(options);
  const items = make.counter('batch_items_total', 'Items by outcome.', ['outcome']);
  const waiting = make.gauge('batch_items_waiting', 'Items that wait after a batch started.');
  const size = make.histogram('batch_items', 'Items in a batch.', COUNTS);
  const wait = make.histogram('batch_wait_seconds', 'From the call to the start of its batch.', SECONDS);
  const run = make.histogram('batch_run_seconds', 'Time that a batch ran.', SECONDS);
  const latency = make.histogram('batch_latency_seconds', 'From the call to the answer.', SECONDS);
  return {
    rejected() {
      items.inc({ outcome: 'rejected' }, 1);
    },
    started(batch) {
      size.observe(batch.size);
      waiting.set(batch.queueLength);
      for (const waitMs of batch.waitMs) wait.observe(waitMs / 1000);
    },
    finished({ runMs }) {
      run.observe(runMs / 1000);
    },
    settled(outcome, latencyMs) {
      items.inc({ outcome }, 1);
      if (outcome === 'answered') latency.observe(latencyMs / 1000);
    },
  };
}
