import { describe, expect, it } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { continuousBatcher } from '../streaming/continuous-batcher.ts';
import { gamma, normal, seededRandom } from './random.ts';
import { formatReport, LoadRecorder } from './report.ts';
import { runLoad } from './run.ts';
import { simulate } from './simulate.ts';
import {
  allAtOnce,
  bursty,
  closedLoop,
  empirical,
  fixed,
  type LoadRequest,
  logNormal,
  poisson,
  uniform,
  workload,
} from './workload.ts';

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: readonly number[]) => {
  const middle = mean(values);
  return mean(values.map((value) => (value - middle) ** 2));
};
const draw = (count: number, next: () => number) => Array.from({ length: count }, next);

describe('random numbers', () => {
  it('are the same for the same seed, and uniform', () => {
    const [a, b] = [seededRandom(5), seededRandom(5)];
    const values = draw(20_000, a);
    expect(draw(20_000, b)).toEqual(values);
    expect(mean(values)).toBeCloseTo(0.5, 1);
    expect(variance(values)).toBeCloseTo(1 / 12, 2);
    const counts = new Array<number>(16).fill(0);
    for (const value of values) counts[Math.floor(value * 16)]!++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1250) ** 2 / 1250, 0);
    expect(chiSquare).toBeLessThan(37.7); // 0.999 of 15 degrees of freedom
    expect(draw(10, seededRandom(6))).not.toEqual(values.slice(0, 10));
  });

  it('have the moments of their distributions', () => {
    const random = seededRandom(1);
    const normals = draw(20_000, () => normal(random));
    expect(Math.abs(mean(normals))).toBeLessThan(0.03);
    expect(variance(normals)).toBeCloseTo(1, 1);
    for (const shape of [0.25, 1, 4]) {
      const gammas = draw(40_000, () => gamma(random, shape));
      expect(Math.abs(mean(gammas) - 1)).toBeLessThan(0.05);
      expect(Math.abs(variance(gammas) * shape - 1)).toBeLessThan(0.15);
    }
  });
});

describe('a workload', () => {
  const gaps = (requests: readonly LoadRequest[]) => requests.slice(1).map(({ atMs }, i) => atMs - requests[i]!.atMs);
  const base = { requests: 5000, promptTokens: fixed(10), newTokens: fixed(5), seed: 2 };

  it('comes at the rate it should, as evenly as it should', () => {
    for (const [arrivals, spread] of [
      [poisson({ perSecond: 50 }), 1],
      [bursty({ perSecond: 50, burstiness: 0.25 }), 4],
      [bursty({ perSecond: 50, burstiness: 4 }), 0.25],
    ] as const) {
      const between = gaps(workload({ ...base, arrivals }));
      expect(Math.abs(mean(between) / 20 - 1)).toBeLessThan(0.1);
      expect(Math.abs(variance(between) / mean(between) ** 2 / spread - 1)).toBeLessThan(0.25);
    }
    expect(() => poisson({ perSecond: 0 })).toThrow(/perSecond must be a number greater than 0, got 0/);
  });

  it('has the lengths it should', () => {
    const random = seededRandom(4);
    const lengths = draw(10_000, () => uniform(16, 256)(random));
    expect([Math.min(...lengths), Math.max(...lengths)]).toEqual([16, 256]);
    const long = draw(10_001, () => logNormal({ median: 128, sigma: 1 })(random)).sort((a, b) => a - b);
    expect(Math.abs(long[5000]! / 128 - 1)).toBeLessThan(0.05);
    expect(Math.abs(mean(long) / (128 * Math.exp(0.5)) - 1)).toBeLessThan(0.05);
    expect(Math.max(...draw(1000, () => logNormal({ median: 128, sigma: 1, max: 200 })(random)))).toBe(200);
    expect(new Set(draw(100, () => empirical([3, 7])(random)))).toEqual(new Set([3, 7]));
    expect(() => empirical([])).toThrow('empirical: values must be an array of at least one number, got an array of 0');
  });

  it('shares prefixes and names tenants', () => {
    const requests = workload({
      ...base,
      arrivals: allAtOnce(),
      promptTokens: uniform(1, 50),
      prefixes: { groups: 3, tokens: 20 },
      tenants: ['a', 'b'],
    });
    expect(new Set(requests.map(({ prefixGroup }) => prefixGroup))).toEqual(new Set([0, 1, 2]));
    expect(new Set(requests.map(({ tenant }) => tenant))).toEqual(new Set(['a', 'b']));
    for (const { promptTokens, prefixTokens } of requests) expect(prefixTokens).toBe(Math.min(20, promptTokens - 1));
  });
});

describe('a report', () => {
  it('has the figures of what was recorded', () => {
    const recorder = new LoadRecorder({ ttftMs: 15, e2eMs: 100 });
    recorder.sent('a', 100, 0);
    recorder.sent('b', 50, 10);
    recorder.sent('c', 1, 10);
    recorder.tokens('a', 1, 10);
    recorder.tokens('b', 1, 40);
    for (const at of [20, 30]) recorder.tokens('a', 1, at);
    recorder.tokens('b', 2, 50);
    recorder.completed('a', 30);
    recorder.completed('b', 50);
    recorder.failed('c', 60);
    expect(recorder.report()).toMatchObject({
      completed: 2,
      failed: 1,
      durationMs: 60,
      promptTokens: 150,
      newTokens: 6,
      newTokensPerSecond: 100,
      totalTokensPerSecond: 2600,
      goodRequestsPerSecond: 1000 / 60,
      ttftMs: { mean: 20, median: 20 },
      tpotMs: { mean: 7.5, median: 7.5 },
      itlMs: { mean: 10, median: 10, p99: 10 },
      e2eMs: { mean: 35 },
    });
    expect(recorder.report().ttftMs.p95).toBeCloseTo(29);
    const text = formatReport(recorder.report());
    expect(text).toContain('Generated throughput (tok/s):     100.00');
    expect(text).toMatch(/TTFT \(time to first token\) +20\.00 +20\.00 +29\.00/);
  });
});

describe('a simulation', () => {
  const capacity = () => blockCapacity({ blocks: 1000, blockSize: 16 });
  const scheduler = (clock: () => number) =>
    continuousScheduler({ maxBatchTokens: 64, maxSequences: 8, capacity: capacity(), clock });

  it('is the same every time, in virtual time', () => {
    const arrivals = poisson({ perSecond: 20 });
    const requests = workload({
      requests: 200,
      arrivals,
      promptTokens: uniform(10, 100),
      newTokens: uniform(5, 30),
      seed: 1,
    });
    const run = () => simulate({ requests, arrivals, scheduler, costMs: ({ tokens }) => 5 + tokens / 10 });
    const report = run();
    expect(run()).toEqual(report);
    expect(report).toMatchObject({ completed: 200, failed: 0 });
    expect(report.newTokens).toBe(requests.reduce((sum, { newTokens }) => sum + newTokens, 0));
    expect(report.durationMs).toBeGreaterThan(9000);
    expect(report.ttftMs.median).toBeGreaterThan(5);
  });

  it('keeps a closed loop at its concurrency', () => {
    const arrivals = closedLoop({ concurrency: 4 });
    const requests = workload({ requests: 40, arrivals, promptTokens: fixed(8), newTokens: fixed(10), seed: 1 });
    let most = 0;
    const report = simulate({
      requests,
      arrivals,
      scheduler,
      costMs: ({ sequences }) => {
        most = Math.max(most, sequences.length);
        return 10;
      },
    });
    expect(most).toBe(4);
    expect(report.durationMs).toBe(1000);
  });

  it('says so if requests are left lying', () => {
    const arrivals = allAtOnce();
    const requests = workload({ requests: 1, arrivals, promptTokens: fixed(8), newTokens: fixed(10) });
    const never = (clock: () => number) =>
      continuousScheduler({
        maxBatchTokens: 8,
        maxSequences: 1,
        capacity: { ...capacity(), admit: () => 'pending' },
        clock,
      });
    const run = () => simulate({ requests, arrivals, scheduler: never, costMs: () => 1 });
    expect(run).toThrow(expect.toSatisfy((error: unknown) => isBatcherError(error, 'ERR_CAPACITY')));
  });
});

describe('a load in real time', () => {
  it.each([
    ['open', poisson({ perSecond: 2000 })],
    ['closed', closedLoop({ concurrency: 5 })],
  ])('measures a batcher, %s loop', async (_, arrivals) => {
    const capacity = blockCapacity({ blocks: 1000, blockSize: 16 });
    const batcher = continuousBatcher({
      scheduler: continuousScheduler({ maxBatchTokens: 256, maxSequences: 16, capacity }),
      run: ({ sequences }) => sequences.map(({ yields }) => (yields ? { tokens: [1] } : undefined)),
    });
    const requests = workload({ requests: 50, arrivals, promptTokens: fixed(8), newTokens: uniform(2, 9), seed: 3 });
    const report = await runLoad({
      requests,
      arrivals,
      serviceLevel: { e2eMs: 60_000 },
      send: ({ id, promptTokens, newTokens }, signal) => {
        const wanted = id === 'load-7' ? 1e9 : newTokens;
        return batcher.generate({ id, promptTokens, maxTokens: wanted }, { signal });
      },
    });
    expect(report).toMatchObject({ completed: 49, failed: 1 });
    expect(report.goodRequestsPerSecond).toBeCloseTo(report.requestsPerSecond);
    expect(report.newTokensPerSecond).toBeGreaterThan(0);
    expect(report.e2eMs.p99).toBeGreaterThanOrEqual(report.ttftMs.median);
  });

  it('ends early when told to', async () => {
    const controller = new AbortController();
    const arrivals = poisson({ perSecond: 1 });
    const requests = workload({ requests: 10, arrivals, promptTokens: fixed(1), newTokens: fixed(1) });
    const load = runLoad({ requests, arrivals, signal: controller.signal, send: async function* () {} });
    setTimeout(() => controller.abort(), 20);
    const report = await load;
    expect(report.completed).toBeLessThan(10);
  });
});
