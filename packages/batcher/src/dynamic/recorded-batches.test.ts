import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Random, seededRandom } from '../load/random.ts';
import { formatReport } from '../load/report.ts';
import { simulate } from '../load/simulate.ts';
import {
  allAtOnce,
  bursty,
  closedLoop,
  empirical,
  fixed,
  logNormal,
  poisson,
  uniform,
  workload,
} from '../load/workload.ts';
import { blockCapacity, slotCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { dynamicBatcher } from './dynamic-batcher.ts';
import { failed } from './item-failure.ts';
import type { DynamicBatcherOptions } from './options.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Item {
  readonly value: number;
  readonly key: string;
  readonly cost: number;
}
type Options = DynamicBatcherOptions<Item, number, readonly Item[]>;

const settings: readonly [
  string,
  Pick<Options, 'maxBatchSize' | 'maxWaitMs'> & Omit<Partial<Options>, 'collate' | 'run'>,
][] = [
  ['size and wait', { maxBatchSize: 3, maxWaitMs: 20 }],
  ['keys', { maxBatchSize: 3, maxWaitMs: 15, keyOf: ({ key }) => key }],
  ['costs', { maxBatchSize: 8, maxWaitMs: 30, costOf: ({ cost }) => cost, maxBatchCost: 12 }],
  [
    'keys, costs, two at once',
    {
      maxBatchSize: 4,
      maxWaitMs: 25,
      keyOf: ({ key }) => key,
      costOf: ({ cost }) => cost,
      maxBatchCost: 9,
      concurrency: 2,
    },
  ],
  ['no wait, a short queue', { maxBatchSize: 2, maxWaitMs: 0, maxQueue: 3 }],
  ['strict priorities', { maxBatchSize: 2, maxWaitMs: 10, ageingMs: Number.POSITIVE_INFINITY }],
  ['ageing', { maxBatchSize: 2, maxWaitMs: 10, ageingMs: 15 }],
];

/** What becomes of 60 items that are drawn from `random`, a line each for batches and for what did not become part of one. */
async function batches(options: (typeof settings)[number][1], random: Random): Promise<string[]> {
  const below = (count: number) => Math.floor(random() * count);
  const lines: string[] = [];
  const batch = dynamicBatcher<Item, number>({
    ...options,
    clock: () => Date.now(),
    run: async (items, { signal }) => {
      lines.push(`${Date.now()}: ${items.map(({ value, key, cost }) => `${value}${key}${cost}`).join(' ')}`);
      await new Promise((resolve) => setTimeout(resolve, 12));
      if (signal.aborted) lines.push(`${Date.now()}: nobody wants ${items.map(({ value }) => value).join(' ')}`);
      return items.map(({ value }) => (value % 13 === 5 ? failed(new Error(`no ${value}`)) : 2 * value));
    },
  });
  const told: Promise<unknown>[] = [];
  for (let value = 0; value < 60; value++) {
    const controller = new AbortController();
    const item = { value, key: 'ab'[below(2)]!, cost: 1 + below(7) };
    const answer = batch(item, {
      priority: below(3),
      signal: controller.signal,
      ...(below(4) === 0 && { deadlineMs: 1 + below(25) }),
    });
    told.push(
      answer.catch((error: { code?: string; retryAfterMs?: number; message: string }) => {
        const { code, retryAfterMs, message } = error;
        lines.push(`${Date.now()}: ${value} ${code ?? message}${retryAfterMs === undefined ? '' : ` ${retryAfterMs}`}`);
      }),
    );
    if (below(6) === 0) setTimeout(() => controller.abort(new Error('aborted')), below(30));
    await vi.advanceTimersByTimeAsync([0, 0, 1, 3, 9, 24][below(6)]!);
  }
  await vi.advanceTimersByTimeAsync(1000);
  await Promise.all(told);
  const closed = batch.close();
  await vi.advanceTimersByTimeAsync(1000);
  await closed;
  const { batchSize, queueLength, waitMs, runMs, latencyMs, answeredPerSecond, answeredPerSecondRecently, ...figures } =
    batch.figures();
  const brief = ({ count, mean, max }: typeof waitMs) => `${count} ${mean.toFixed(3)} ${max}`;
  return [
    ...lines,
    `${JSON.stringify(figures)} ${answeredPerSecond.toFixed(3)} ${answeredPerSecondRecently.toFixed(3)}`,
    [batchSize, queueLength, waitMs, runMs, latencyMs].map(brief).join(', '),
  ];
}

const loads = [
  { arrivals: poisson({ perSecond: 40 }), promptTokens: uniform(3, 40), newTokens: uniform(1, 9) },
  {
    arrivals: bursty({ perSecond: 80, burstiness: 0.3 }),
    promptTokens: logNormal({ median: 20, sigma: 1, max: 60 }),
    newTokens: fixed(5),
  },
  { arrivals: allAtOnce(), promptTokens: empirical([4, 30, 50]), newTokens: uniform(2, 20) },
  { arrivals: closedLoop({ concurrency: 3 }), promptTokens: fixed(24), newTokens: uniform(1, 12) },
];

describe('the same items and loads', () => {
  // what is meant to change is written anew by `npx vitest run -u`
  it('become the batches of before, at the same times', async () => {
    const lines: string[] = [];
    for (const [seed, [name, options]] of settings.entries())
      lines.push(name, ...(await batches(options, seededRandom(seed))), '');
    await expect(lines.join('\n')).toMatchFileSnapshot('recorded-batches.txt');
  });

  it('are simulated with the figures of before', async () => {
    const lines: string[] = [];
    for (const [seed, { arrivals, ...lengths }] of loads.entries()) {
      const requests = workload({
        ...lengths,
        requests: 60,
        arrivals,
        seed,
        tenants: ['a', 'b'],
        prefixes: { groups: 3, tokens: 16 },
      });
      lines.push(
        ...requests.slice(0, 4).map((request) => JSON.stringify({ ...request, atMs: Number(request.atMs.toFixed(6)) })),
      );
      for (const capacity of [
        blockCapacity({ blocks: 24, blockSize: 8 }),
        slotCapacity({ slots: 5, tokensPerSlot: 128 }),
      ])
        lines.push(
          formatReport(
            simulate({
              requests,
              arrivals,
              scheduler: (clock) =>
                continuousScheduler({ maxBatchTokens: 32, maxSequences: 6, maxWaiting: 30, capacity, clock }),
              costMs: ({ tokens, sequences }) => 4 + tokens / 4 + sequences.length / 8,
              serviceLevel: { ttftMs: 60, tpotMs: 12, e2eMs: 300 },
              maxTokens: 14,
            }),
          ),
          '',
        );
    }
    await expect(lines.join('\n')).toMatchFileSnapshot('recorded-loads.txt');
  });
});
