// Batching under synthetic cost models (virtual time), and what scheduling costs (real time). No model, no device.
//   node bench/dist/batcher.js
import {
  blockCapacity,
  type Capacity,
  continuousBatcher,
  continuousScheduler,
  dynamicBatcher,
  fairShare,
  type Policy,
  type StepPlan,
  shortestRemaining,
  slotCapacity,
} from '@heddle/batcher';
import {
  allAtOnce,
  type Distribution,
  fixed,
  type LoadReport,
  type LoadRequest,
  logNormal,
  poisson,
  simulate,
  staticBatches,
  uniform,
  workload,
} from '@heddle/batcher/load';
import { type Measurement, report } from './results.ts';

const simulated = 'simulated';
const measurements: Measurement[] = [];
const unlimited = () => blockCapacity({ blocks: 1e9, blockSize: 1 });
const one = { tokens: [1] };
const answer = (plan: StepPlan) => plan.sequences.map(({ yields }) => (yields ? one : undefined));

interface Setting {
  readonly capacity: Capacity;
  readonly maxSequences: number;
  readonly maxBatchTokens: number;
  readonly policy?: Policy;
}

function run(requests: readonly LoadRequest[], costMs: (plan: StepPlan) => number, setting: Setting): LoadReport {
  const scheduler = (clock: () => number) => continuousScheduler({ ...setting, clock });
  return simulate({ requests, arrivals: allAtOnce(), costMs, scheduler });
}

/** Everything else equal, batches that wait for their last sequence against batches that do not. */
function sameSlots(name: string, newTokens: Distribution): void {
  const requests = workload({ requests: 2000, arrivals: allAtOnce(), promptTokens: fixed(1), newTokens, seed: 1 });
  const limits = { maxSequences: 16, maxBatchTokens: 16 };
  const constant = () => 10;
  const batches = run(requests, constant, { ...limits, capacity: staticBatches() });
  const continuous = run(requests, constant, { ...limits, capacity: unlimited() });
  const tokens = requests.reduce((sum, request) => sum + request.newTokens, 0);
  const against = 'static batches of 16';
  const what = `16 slots, steps of constant cost, ${name}`;
  measurements.push(
    {
      what: `${what}: throughput`,
      value: continuous.newTokensPerSecond,
      unit: 'tok/s',
      adapter: simulated,
      ratio: continuous.newTokensPerSecond / batches.newTokensPerSecond,
      against,
    },
    {
      what: `${what}: throughput`,
      value: continuous.newTokensPerSecond,
      unit: 'tok/s',
      adapter: simulated,
      ratio: continuous.newTokensPerSecond / ((16 * 1000) / 10),
      against: `all slots full always (${tokens} tokens)`,
    },
    {
      what: `${what}: time to first token, p95`,
      value: continuous.ttftMs.p95,
      unit: 'ms',
      adapter: simulated,
      ratio: continuous.ttftMs.p95 / batches.ttftMs.p95,
      against,
    },
  );
}

/**
 * The same memory, 16,384 tokens, in three ways: static batches and fixed slots give each sequence a row of 2,048 (as
 * node-llama-cpp divides a context), continuous batching gives blocks of 16 as they are needed. A step costs a constant
 * for reading the weights and a little for each row.
 */
function sameMemory(): void {
  const lengths = { median: 128, sigma: 1, max: 1024 };
  const requests = workload({
    requests: 2000,
    arrivals: allAtOnce(),
    promptTokens: logNormal(lengths),
    newTokens: logNormal(lengths),
    seed: 2,
  });
  const costMs = ({ tokens }: StepPlan) => 5 + tokens * 0.02;
  const rows = { slots: 8, tokensPerSlot: 2048 };
  const limits = { maxBatchTokens: 512, maxSequences: 8 };
  const batches = run(requests, costMs, { ...limits, capacity: staticBatches() });
  const slots = run(requests, costMs, { ...limits, capacity: slotCapacity(rows) });
  const blocks = { capacity: blockCapacity({ blocks: 1024, blockSize: 16 }), maxSequences: 256, maxBatchTokens: 512 };
  const paged = run(requests, costMs, blocks);
  const shortest = run(requests, costMs, { ...blocks, policy: shortestRemaining() });
  const row = (name: string, value: LoadReport, other: LoadReport, against: string) => {
    const what = `16,384 tokens of cache, ${name}`;
    const ratio = value.newTokensPerSecond / other.newTokensPerSecond;
    measurements.push({
      what: `${what}: throughput`,
      value: value.newTokensPerSecond,
      unit: 'tok/s',
      adapter: simulated,
      ratio,
      against,
    });
    measurements.push({
      what: `${what}: end to end, mean`,
      value: value.e2eMs.mean,
      unit: 'ms',
      adapter: simulated,
      ratio: value.e2eMs.mean / other.e2eMs.mean,
      against,
    });
  };
  row('8 fixed slots', slots, batches, 'static batches of 8');
  row('blocks of 16', paged, slots, '8 fixed slots');
  row('blocks of 16, shortest first', shortest, paged, 'first come');
}

/** What a tenant gets that asks for a tenth of what another asks for. */
function fairness(): void {
  const draw = (tenant: string, perSecond: number) => {
    const arrivals = poisson({ perSecond });
    const lengths = { promptTokens: fixed(20), newTokens: uniform(16, 64) };
    const requests = workload({ requests: perSecond * 20, arrivals, ...lengths, tenants: [tenant], seed: 4 });
    return requests.map((request) => ({ ...request, id: `${tenant}-${request.id}` }));
  };
  const requests = [...draw('quiet', 40), ...draw('flood', 400)].sort((a, b) => a.atMs - b.atMs);
  const share = (setting: { readonly policy?: Policy }) => {
    const tokens = { quiet: 0, flood: 0 };
    simulate({
      requests,
      arrivals: poisson({ perSecond: 1 }),
      costMs: () => 20,
      untilMs: 20_000,
      scheduler: (clock) =>
        continuousScheduler({
          maxBatchTokens: 256,
          maxSequences: 16,
          capacity: unlimited(),
          clock,
          ...setting,
        }),
      onToken: ({ tenant }, at) => {
        if (at > 5000) tokens[tenant as 'quiet' | 'flood']++;
      },
    });
    return (100 * tokens.quiet) / (tokens.quiet + tokens.flood);
  };
  measurements.push({
    what: 'a tenant that is flooded ten to one: its part of the tokens, fair share',
    value: share({ policy: fairShare() }),
    unit: '%',
    adapter: simulated,
    ratio: share({ policy: fairShare() }) / share({}),
    against: 'first come',
  });
}

function quantile(values: readonly number[], q: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))]!;
}

/** Processor time in us since `since`, garbage collection included: other work on the machine does not count. */
function processorUs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

/** Host time of `step` and `commit` for 256 decoding sequences. */
function schedulingTime(): void {
  const capacity = blockCapacity({ blocks: 256 * 1024, blockSize: 16 });
  const scheduler = continuousScheduler({ maxBatchTokens: 512, maxSequences: 256, capacity });
  for (let i = 0; i < 256; i++) scheduler.add({ id: `r${i}`, promptTokens: 2, maxTokens: 14_000 });
  const round = () => {
    const times: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const begin = performance.now();
      const plan = scheduler.step();
      const planned = performance.now();
      const results = answer(plan);
      const answered = performance.now();
      scheduler.commit(plan, results);
      times.push((planned - begin + performance.now() - answered) * 1000);
    }
    return times;
  };
  round();
  const since = process.cpuUsage();
  const rounds = Array.from({ length: 10 }, round);
  const mean = processorUs(since) / 10_000;
  const what = 'step and commit, 256 sequences';
  measurements.push({ what: `${what}, mean processor time`, value: mean, unit: 'us', adapter: 'cpu' });
  for (const [name, q, limit] of [
    ['p50', 0.5, 100],
    ['p99', 0.99, 500],
  ] as const) {
    // The best round is the one that other work on the machine disturbed least.
    const value = Math.min(...rounds.map((times) => quantile(times, q)));
    const against = `limit ${limit} us`;
    measurements.push({
      what: `${what}, ${name}, best of 10 rounds`,
      value,
      unit: 'us',
      adapter: 'cpu',
      ratio: value / limit,
      against,
    });
  }
}

function queueing(): void {
  const scheduler = continuousScheduler({ maxBatchTokens: 256, maxSequences: 64, capacity: unlimited() });
  const before = process.memoryUsage().heapUsed;
  const since = process.cpuUsage();
  for (let i = 0; i < 10_000; i++) scheduler.add({ id: `r${i}`, promptTokens: 3, maxTokens: 20 });
  const value = processorUs(since) / 10_000;
  const bytes = (process.memoryUsage().heapUsed - before) / 10_000;
  measurements.push({ what: 'add to a queue of up to 10,000, processor time', value, unit: 'us', adapter: 'cpu' });
  const limit = { ratio: bytes / 4096, against: 'limit 4 KiB' };
  measurements.push({ what: 'heap for a queued request', value: bytes, unit: 'bytes', adapter: 'cpu', ...limit });
}

/** What the loops, streams and promises cost where the model costs nothing. */
async function overheads(): Promise<void> {
  const scheduler = continuousScheduler({ maxBatchTokens: 256, maxSequences: 64, capacity: unlimited() });
  const batcher = continuousBatcher({ scheduler, run: answer });
  const read = async (i: number) => {
    for await (const _ of batcher.generate({ id: `r${i}`, promptTokens: 8, maxTokens: 2000 }));
  };
  const streams = async () => {
    await Promise.all(Array.from({ length: 64 }, (_, i) => read(i)));
    return 64 * 2000;
  };
  const batch = dynamicBatcher<number, number>({ run: async (items) => items, maxBatchSize: 64, maxWaitMs: 0 });
  const items = async () => {
    for (let i = 0; i < 50; i++) await Promise.all(Array.from({ length: 1000 }, (_, item) => batch(item)));
    return 50 * 1000;
  };
  for (const [what, work] of [
    ['a token through a stream, 64 at a time, processor time', streams],
    ['an item through a dynamic batcher, 1,000 at a time, processor time', items],
  ] as const) {
    await work();
    const since = process.cpuUsage();
    const count = await work();
    measurements.push({ what, value: processorUs(since) / count, unit: 'us', adapter: 'cpu' });
  }
}

sameSlots('lengths uniform 16 to 256', uniform(16, 256));
sameSlots('lengths log-normal (128, sigma 1)', logNormal({ median: 128, sigma: 1 }));
sameMemory();
fairness();
queueing();
schedulingTime();
await overheads();
report(measurements);
