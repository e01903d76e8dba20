import { naive } from '@heddle/attention';
import {
  byPriority,
  continuousScheduler,
  optimistic,
  type SchedulerEvent,
  type SequenceResult,
  type StepPlan,
} from '@heddle/batcher';
import { seededRandom } from '@heddle/batcher/load';
import { auditedCapacity, auditedScheduler } from '@heddle/batcher/testing';
import { type KvCache, pagedCache } from '@heddle/kvcache';
import { type Device, isHeddleError } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { guesses } from '../../../../../test-support/guesses.ts';
import { runs } from '../../../../../test-support/properties.ts';
import { poison, summedLogits, summingModel } from '../../../../../test-support/summing-model.ts';
import { type CausalLm, greedy, type Sampler, type Speculation, sampler } from '../../index.ts';
import { type DeviceSampling, greedySampling } from '../../sampling/sample-plan.ts';
import { cacheCapacity } from '../cache-capacity.ts';
import { withLanes } from '../lanes.ts';
import { type ScheduledGeneration, scheduledGeneration } from '../request.ts';
import { StepRunner } from './step-runner.ts';

const [maxSequences, maxSequenceTokens, maxBatchTokens, maxNew] = [5, 26, 9, 12];

let device: Device;
let model: CausalLm;
beforeAll(async () => {
  device = await openReference();
  model = summingModel(device, maxSequenceTokens);
});
afterAll(() => device.dispose());

/** Samplers of requests, by name: on the device, on the host, and one that fails at the third token. */
const samplers: Readonly<Record<string, Sampler>> = {
  greedy: greedy(),
  drawing: sampler({ temperature: 2, seed: 5 }),
  failing: {
    name: 'failing',
    sample: (logits, at) => {
      if (at.step === 2) throw new Error('no more luck');
      return greedy().sample(logits, at);
    },
  },
};
interface Wanted {
  readonly id: string;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly stopToken: number;
  readonly priority: number;
  readonly sampler: string;
}
type Outcome = { readonly tokens: number[]; reason?: string; error?: unknown };

/** A cache and a runner whose steps fail when they are told to. */
class Bench {
  readonly cache: KvCache;
  readonly runner: StepRunner;
  readonly sampling: DeviceSampling;
  /** Where the next step is to fail: before anything of it is submitted, or between its two plans. */
  fails: 'batch' | 'fill' | undefined;

  constructor(tokens: number, speculation?: Speculation) {
    this.cache = pagedCache(device, { shape: model.kvShape, maxSequences, maxSequenceTokens, blockSize: 2, tokens });
    const { plans, ...sampling } = greedySampling();
    const failing = { ...plans[0]!, fill: () => this.#failAt('fill') };
    const lanes = new Set(Array.from({ length: maxSequences }, (_, i) => i));
    this.sampling = { ...sampling, plans: [failing], begin: (lane) => expect(lanes).toContain(lane) };
    const cache = new Proxy(this.cache, {
      get: (target, name) => {
        if (name === 'batch') this.#failAt('batch');
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const parts = { device, model, attention: naive(), cache, sampling: this.sampling, sampler: greedy() };
    const scheduler = () => expect.unreachable();
    this.runner = new StepRunner({
      ...{ ...parts, scheduler, maxBatchTokens, stepsInFlight: 1 },
      ...(speculation && { speculation }),
    });
  }

  #failAt(where: 'batch' | 'fill'): void {
    if (this.fails !== where) return;
    this.fails = undefined;
    throw new Error('drawn');
  }

  dispose(): void {
    this.runner.dispose();
    this.cache.dispose();
  }
}

/** Schedules requests on a bench in an order of calls drawn from `random`, with up to `depth` steps in flight. */
async function walk(bench: Bench, requests: readonly Wanted[], depth: number, random: () => number) {
  const inner = cacheCapacity(bench.cache);
  const { speculating } = bench.runner;
  const released = (request: ScheduledGeneration) => speculating?.end(request);
  const capacity = auditedCapacity(withLanes(inner, maxSequences, bench.sampling, released));
  const limits = { maxBatchTokens, maxSequences, maxPlansInFlight: depth };
  const policy = byPriority({ ageingMs: 1000, preemptive: true });
  let time = 0;
  const options = { ...limits, capacity, policy, admission: optimistic({ headroomTokens: 0 }), clock: () => time };
  const scheduler = auditedScheduler(continuousScheduler<ScheduledGeneration>(options), limits);
  const outcomes = new Map<string, Outcome>(requests.map(({ id }) => [id, { tokens: [] }]));
  const flights: { plan: StepPlan<ScheduledGeneration>; results: Promise<(SequenceResult | undefined)[]> }[] = [];
  const failed = new Set<string>();
  const counts = { calls: 0, preemptions: 0, late: 0, deepest: 0 };
  const tell = (event: SchedulerEvent) => {
    const outcome = outcomes.get(event.id)!;
    if (event.type === 'token') outcome.tokens.push(event.token);
    if (event.type === 'preempted') counts.preemptions++;
    if (event.type !== 'finished') return;
    outcome.reason = event.reason;
    outcome.error = event.error;
    if (flights.some(({ plan }) => plan.sequences.some(({ id }) => id === event.id))) counts.late++;
  };
  const commit = async () => {
    const { plan, results } = flights[0]!;
    const got = await results.catch((error: Error) => {
      expect(error.message).toBe('drawn');
      for (const { id } of plan.sequences) failed.add(id);
      return plan.sequences.map(() => ({ tokens: [], finish: 'error' as const, error }));
    });
    flights.shift();
    for (const event of scheduler.commit(plan, got)) tell(event);
  };
  const add = ({ prompt, stopToken, sampler: name, ...request }: Wanted, number: number) => {
    const wanted = { ...request, tokens: prompt, stopTokens: [stopToken], sampler: samplers[name]!, sequence: 0 };
    const { vocabularySize } = model.config;
    const engine = { number, sampler: greedy(), vocabularySize, sampling: bench.sampling, speculating };
    expect(scheduler.add(scheduledGeneration(wanted, engine)).accepted).toBe(true);
  };
  const trouble = (choice: number) => {
    const { id } = requests[Math.floor(random() * requests.length)]!;
    if (choice < 0.02) scheduler.abort(id);
    else if (choice < 0.05) scheduler.pause(id);
    else if (choice < 0.14) for (const request of requests) scheduler.resume(request.id);
    else bench.fails = choice < 0.145 ? 'batch' : 'fill';
  };
  let next = 0;
  while (next < requests.length || !scheduler.idle || flights.length > 0) {
    counts.calls++;
    time += random();
    expect(time).toBeLessThan(20_000);
    const choice = random();
    if (choice < 0.15) trouble(choice);
    else if (choice < 0.3 && next < requests.length) add(requests[next]!, next++);
    else if (flights.length > 0 && (flights.length === depth || choice < 0.45)) await commit();
    else if (!scheduler.idle) {
      const plan = scheduler.step();
      const results = plan.sequences.length > 0 ? bench.runner.run(plan) : Promise.resolve([]);
      results.catch(() => {}); // commit sees it
      flights.push({ plan, results });
      if (plan.sequences.length > 0) counts.deepest = Math.max(counts.deepest, flights.length);
    } else if (flights.length > 0) await commit();
  }
  bench.fails = undefined;
  expect(capacity.open.size + capacity.pending.size).toBe(0);
  expect(bench.cache.stats()).toMatchObject({ sequences: 0, tokens: 0, blocksUsed: 0 });
  bench.cache.checkIntegrity();
  return { outcomes, failed, counts };
}

function draw(random: () => number): Wanted[] {
  const upTo = (count: number) => Math.floor(random() * count);
  const names = Object.keys(samplers);
  return Array.from({ length: 10 }, (_, i) => {
    // few different beginnings, so that some find what others have computed
    const begin = upTo(3);
    const prompt = Array.from({ length: 1 + upTo(14) }, (_, k) =>
      k < 8 ? (begin * 5 + k * 3) % poison : upTo(poison),
    );
    if (random() < 0.06) prompt[upTo(prompt.length)] = poison;
    const name = random() < 0.6 ? 'greedy' : names[upTo(names.length)]!;
    return {
      id: `r${i}`,
      prompt,
      maxTokens: upTo(maxNew + 1),
      stopToken: upTo(poison),
      priority: upTo(3),
      sampler: name,
    };
  });
}

/** What a request generates, by the model written out; as much of it as there is before its sampler fails or has no numbers. */
function expected({ prompt, maxTokens, stopToken, sampler: name }: Wanted): { tokens: number[]; fails: boolean } {
  const stream = [...prompt];
  const tokens: number[] = [];
  try {
    while (tokens.length < maxTokens && tokens.at(-1) !== stopToken) {
      const logits = Float32Array.from(summedLogits(stream));
      const token = samplers[name]!.sample(logits, { step: tokens.length, sequence: 0, tokens: stream });
      tokens.push(token);
      stream.push(token);
    }
    return { tokens, fails: false };
  } catch {
    return { tokens, fails: true };
  }
}

test.each([1, 2, 3])(
  '%i steps in flight, in any order of calls, give every request its own tokens',
  async (depth) => {
    const sums = {
      calls: 0,
      preemptions: 0,
      late: 0,
      deepest: 0,
      whole: 0,
      failed: 0,
      guilty: 0,
      hits: 0,
      drafted: 0,
      accepted: 0,
    };
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const requests = draw(random);
        const before = device.memory().live;
        // guesses that take no time, guesses that do, and none
        const way = Math.floor(random() * 3);
        const truth = (id: string) => expected(requests.find((each) => each.id === id)!).tokens;
        const speculation = guesses(truth, random, { instant: way === 0, vocabularySize: poison });
        const bench = new Bench(34, way < 2 ? speculation : undefined);
        const { outcomes, failed, counts } = await walk(bench, requests, depth, random);
        sums.hits += bench.cache.stats().hitTokens;
        sums.drafted += bench.runner.counts.draftedTokens;
        sums.accepted += bench.runner.counts.acceptedTokens;
        bench.dispose();
        expect(device.memory().live).toBeLessThanOrEqual(before);
        for (const request of requests) {
          const { tokens, reason, error } = outcomes.get(request.id)!;
          const right = expected(request);
          if (reason === 'stop' || reason === 'length') {
            expect({ tokens, fails: false }).toEqual(right);
            sums.whole++;
          } else if (reason === 'error' && !failed.has(request.id)) {
            // only who has such logits or such a sampler
            expect({ tokens, fails: true }).toEqual(right);
            const why = isHeddleError(error, 'ERR_LOGITS') ? 'ERR_LOGITS' : (error as Error).message;
            expect(why).toBe([...request.prompt, ...tokens].includes(poison) ? 'ERR_LOGITS' : 'no more luck');
            sums.guilty++;
          } else {
            expect(reason === 'aborted' || failed.has(request.id)).toBe(true);
            expect(tokens).toEqual(right.tokens.slice(0, tokens.length));
          }
        }
        for (const name of ['calls', 'preemptions', 'late'] as const) sums[name] += counts[name];
        sums.deepest = Math.max(sums.deepest, counts.deepest);
        sums.failed += failed.size;
      }),
      runs(45),
    );
    // it went where it is hard
    expect(sums.deepest).toBe(depth);
    expect(sums.calls).toBeGreaterThan(3333);
    for (const name of ['preemptions', 'whole', 'failed', 'guilty', 'hits'] as const)
      expect(sums[name]).toBeGreaterThan(5);
    expect(sums.accepted).toBeGreaterThan(100);
    expect(sums.drafted - sums.accepted).toBeGreaterThan(100);
    if (depth > 1) expect(sums.late).toBeGreaterThan(5);
  },
  120_000,
);
