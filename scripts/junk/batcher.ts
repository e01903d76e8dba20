import {
  byPriority,
  type Capacity,
  continuousBatcher,
  continuousScheduler,
  dynamicBatcher,
  firstCome,
  reserveAll,
  type SequenceRequest,
  type StepPlan,
  slotCapacity,
} from '@heddle/batcher';
import { allAtOnce, fixed, poisson, seededRandom, workload } from '@heddle/batcher/load';
import { type CallsOf, type Entries, ofFunctions, part } from './valid-call.ts';

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));
const clock = () => 0;
const capacity = () => part(slotCapacity({ slots: 2, tokensPerSlot: 64 }));
const scheduler = (own: Capacity<SequenceRequest> = capacity(), now = clock) =>
  part(continuousScheduler({ maxBatchTokens: 16, maxSequences: 2, capacity: own, clock: now }));
const request = {
  id: 'a',
  promptTokens: 2,
  maxTokens: 2,
  priority: 1,
  tenant: 't',
  deadlineMs: 1000,
  expectedTokens: 1,
  serial: false,
};
const client = part({ Counter: Metric, Gauge: Metric, Histogram: Metric });
function Metric() {
  return { inc() {}, set() {}, observe() {} };
}
const registry = part({ registerMetric() {} });
const run = (plan: StepPlan) => plan.sequences.map(({ yields }) => (yields ? { tokens: [1] } : undefined));

/** What is called of `@heddle/batcher`. */
export function batcherCalls(): CallsOf {
  const batching = {
    maxBatchSize: 2,
    maxWaitMs: 1,
    maxQueue: 4,
    keyOf: () => 'k',
    costOf: () => 1,
    maxBatchCost: 8,
    concurrency: 1,
    ageingMs: 1000,
    observers: [],
    clock,
  };
  return {
    specifier: '@heddle/batcher',
    functions: {
      packed: [{ tokensOf: () => [1] }],
      padded: [{ tokensOf: () => [1], side: 'left', padToken: 0, multipleOf: 8 }],
      dynamicBatcher: [{ ...batching, run: async (items: readonly unknown[]) => items }],
      'dynamicBatcher: collate': [
        { ...batching, collate: (items: readonly unknown[]) => items, run: async (items: readonly unknown[]) => items },
      ],
      prometheusBatches: [{ client, registry, prefix: 'p' }],
      prometheusScheduler: [{ client, registry, prefix: 'p', maxBatchTokens: 16 }],
      schedulerStatistics: [{ maxBatchTokens: 16, clock }],
      fairShare: [{ weightOf: () => 1, promptTokenPrice: 1, newTokenPrice: 2 }],
      longestPrefix: [{ window: 4, patience: 4 }],
      byPriority: [{ ageingMs: 1000, preemptive: true }],
      earliestDeadline: [{ defaultMs: 1000, preemptive: true }],
      shortestRemaining: [{ msPerToken: 1, preemptive: true }],
      ...each('firstCome reserveAll', []),
      estimated: [{ quantile: 0.5, minSamples: 4 }],
      optimistic: [{ headroomTokens: 4 }],
      blockCapacity: [{ blocks: 4, blockSize: 8 }],
      slotCapacity: [{ slots: 2, tokensPerSlot: 64 }],
      continuousScheduler: [
        {
          maxBatchTokens: 16,
          maxSequences: 2,
          capacity: capacity(),
          policy: part(firstCome()),
          admission: part(reserveAll()),
          maxChunkTokens: 8,
          chunkMultiple: 4,
          maxWaiting: 4,
          maxPlansInFlight: 2,
          clock,
        },
      ],
      observed: { args: [scheduler(), { added() {} }], taken: ['1:*'] },
      recordTrace: [
        { clock, capacity: capacity() },
        (parts: { capacity: Capacity<SequenceRequest> }) => scheduler(parts.capacity),
      ],
      replayTrace: {
        args: [
          { version: 1, maxSequenceTokens: 64, hasCachedTokens: false, calls: [] },
          (parts: { capacity: Capacity<SequenceRequest> }) => scheduler(parts.capacity),
        ],
        taken: ['0:misspelt'],
      },
      continuousBatcher: [
        { scheduler: scheduler(), run, highWaterMark: 4, plansInFlight: 1, onEvent: () => undefined },
      ],
    },
    leftOut: {
      failed: 'takes any reason',
      isFailed: 'answers what anything is',
      isBatcherError: 'answers what anything is',
    },
    objects: [
      {
        of: 'scheduler',
        on: () => {
          const own = scheduler();
          own.add({ id: 'b', promptTokens: 2, maxTokens: 2 });
          return own;
        },
        methods: {
          // says no with an error in its answer
          add: { args: [request], taken: ['*'] },
          step: [],
          ...each('abort pause resume', { args: ['b'], taken: ['*'] }), // a sequence that is not there is none
        },
        leftOut: { commit: 'takes the plan that step gave', discard: 'takes the plan that step gave' },
      },
      {
        of: 'dynamic batcher',
        on: () => dynamicBatcher({ run: async (items: readonly unknown[]) => items, maxBatchSize: 2, maxWaitMs: 1 }),
        methods: { drain: [], close: [], figures: [] },
        leftOut: ofFunctions,
      },
      {
        of: 'continuous batcher',
        on: () => continuousBatcher({ scheduler: scheduler(), run }),
        methods: {
          generate: {
            args: [request, { signal: new AbortController().signal, onEvent: () => undefined }],
            taken: ['0:misspelt', '0.deadlineMs:-1'],
          },
          close: { args: [{ abort: true, reason: 'shutdown' }], taken: ['0.reason:*'] },
          drain: [],
          wake: [],
        },
      },
      {
        of: 'QuantileSketch',
        on: async () => new (await import('@heddle/batcher')).QuantileSketch({ relativeError: 0.01 }),
        methods: {
          ...Object.fromEntries(
            Object.entries({ add: 1, fade: 0.5, quantile: 0.5, shareUpTo: 1 }).map(([name, value]) => [
              name,
              { args: [value], named: `QuantileSketch.${name}` },
            ]),
          ),
          summary: [],
        },
      },
      { of: 'policy', on: () => byPriority(), methods: {}, leftOut: { compare: 'is called by schedulers' } },
    ],
  };
}

/** What is called of `@heddle/batcher/testing`. */
export const batcherTestingCalls = (): CallsOf => ({
  specifier: '@heddle/batcher/testing',
  functions: {
    auditedCapacity: [capacity()],
    // takes what the scheduler was made with
    auditedScheduler: {
      args: [scheduler(), { maxBatchTokens: 16, maxSequences: 2, maxPlansInFlight: 1 }],
      taken: ['1:misspelt'],
    },
    capacityContract: [() => ({ capacity: capacity(), request: () => request })],
    schedulerContract: [() => scheduler()],
    randomWalk: {
      args: () => [
        scheduler(),
        {
          calls: 4,
          random: seededRandom(1),
          maxPromptTokens: 4,
          maxNewTokens: 4,
          maxPlansInFlight: 1,
          advance: () => undefined,
        },
      ],
    },
  },
});

/** What is called of `@heddle/batcher/load`. */
export const loadCalls = (): CallsOf => {
  const requests = workload({ requests: 2, arrivals: allAtOnce(), promptTokens: fixed(2), newTokens: fixed(2) });
  const level = { ttftMs: 100, tpotMs: 100, e2eMs: 100 };
  return {
    specifier: '@heddle/batcher/load',
    functions: {
      seededRandom: [1],
      ...each('poisson', [{ perSecond: 10 }]),
      bursty: [{ perSecond: 10, burstiness: 2 }],
      closedLoop: [{ concurrency: 2 }],
      allAtOnce: [],
      empirical: [[1, 2]],
      fixed: [2],
      uniform: [1, 2],
      logNormal: [{ median: 4, sigma: 0.5, max: 8 }],
      staticBatches: [],
      workload: [
        {
          requests: 2,
          arrivals: part(poisson({ perSecond: 10 })),
          promptTokens: fixed(2),
          newTokens: fixed(2),
          prefixes: { groups: 2, tokens: 4 },
          tenants: ['a'],
          seed: 1,
        },
      ],
      simulate: {
        args: [
          {
            requests: requests.slice(0, 1),
            arrivals: part(allAtOnce()),
            scheduler: () => scheduler(),
            costMs: () => 1,
            maxTokens: 8,
            serviceLevel: level,
            untilMs: 1000,
            onToken: () => undefined,
          },
        ],
        taken: ['0.requests.0:misspelt'],
      },
      runLoad: {
        args: [
          {
            requests: requests.slice(0, 1),
            arrivals: part(allAtOnce()),
            send: async function* () {
              yield 1;
            },
            serviceLevel: level,
            signal: new AbortController().signal,
            clock: () => performance.now(),
          },
        ],
        taken: ['0.requests.0:misspelt'],
      },
    },
    leftOut: { formatReport: 'takes what runLoad gives' },
  };
};
