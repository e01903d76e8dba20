import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { type Random, seededRandom } from '../load/random.ts';
import { byPriority } from '../policies/policies.ts';
import { auditedCapacity } from '../testing/audited-capacity.ts';
import { auditedScheduler } from '../testing/audited-scheduler.ts';
import { optimistic } from './admission.ts';
import { blockCapacity } from './block-capacity.ts';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { ScheduledSequence, Scheduler, SequenceRequest, SequenceResult, StepPlan } from './scheduler.ts';

interface Generation extends SequenceRequest {
  readonly prompt: readonly number[];
  /** The token that ends it. */
  readonly stopToken: number;
}

/** The model: the next token depends on every token before it, so that a lost or swapped one changes all that follow. */
function nextToken(stream: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const token of stream) hash = Math.imul(hash ^ (token + 1), 0x01000193) >>> 0;
  return (hash >>> 8) % 50;
}

/** What a request must generate, whatever the scheduler does. */
function expected({ prompt, maxTokens, stopToken }: Generation): number[] {
  const stream = [...prompt];
  while (stream.length < prompt.length + maxTokens) {
    stream.push(nextToken(stream));
    if (stream.at(-1) === stopToken) break;
  }
  return stream.slice(prompt.length);
}

/** What of a sequence lies on the device: the rows of its cache, and tokens that the host has not seen yet. */
interface DeviceState {
  readonly cache: number[];
  readonly stream: number[];
}

/**
 * An engine that keeps tokens on its device. Plans are submitted in order; a step reads tokens that an earlier one, not
 * committed yet, has chosen. Every read checks that what it needs is there.
 */
class Engine {
  readonly states: Map<string, DeviceState> = new Map();
  readonly capacity: Capacity<Generation>;
  readonly #random: Random;

  constructor(counts: Capacity, random: Random) {
    this.#random = random;
    this.capacity = {
      maxSequenceTokens: counts.maxSequenceTokens,
      admit: (request, tokens, length, parent) => {
        if (this.#random() < 0.1) return 'pending';
        const found = counts.admit(request, tokens, length, parent);
        if (found === 'full') return 'full';
        const known = this.states.get(request.id)?.stream.slice(0, length) ?? [...request.prompt];
        const cached = Math.floor(this.#random() * length);
        this.states.set(request.id, { cache: known.slice(0, cached), stream: known });
        return cached;
      },
      reserve: (request, tokens) => counts.reserve(request, tokens),
      release: (request, why) => {
        counts.release(request, why);
        // After a preemption the host still knows the tokens; the rows are gone.
        const state = this.states.get(request.id)!;
        if (why === 'preempted') state.cache.length = 0;
        else this.states.delete(request.id);
      },
    };
  }

  /** Runs a plan on the device; the results are read later. */
  submit(plan: StepPlan<Generation>): (SequenceResult | undefined)[] {
    return plan.sequences.map((entry) => this.#run(entry));
  }

  #run({ request, start, end, drafts, yields }: ScheduledSequence<Generation>): SequenceResult | undefined {
    const { cache, stream } = this.states.get(request.id)!;
    expect(start).toBeLessThanOrEqual(cache.length);
    cache.length = start;
    const known = end - drafts;
    expect(known).toBeLessThanOrEqual(stream.length);
    cache.push(...stream.slice(start, known));
    if (!yields) return undefined;
    if (request.maxTokens === 0) return { tokens: [] };
    stream.length = known;
    // Drafts are right about every second time, and those after a wrong one do not count.
    const tokens = [nextToken(cache)];
    for (let i = 0; i < drafts && tokens.at(-1) !== request.stopToken && this.#random() < 0.5; i++) {
      cache.push(tokens.at(-1)!);
      tokens.push(nextToken(cache));
    }
    stream.push(...tokens);
    const offered = this.#random() < 0.3 ? { drafts: Math.floor(this.#random() * 4) } : {};
    return tokens.at(-1) === request.stopToken ? { tokens, finish: 'stop' } : { tokens, ...offered };
  }
}

interface Run {
  readonly tokens: ReadonlyMap<string, number[]>;
  readonly whole: ReadonlySet<string>;
  readonly preemptions: number;
  readonly lateStops: number;
  readonly deepest: number;
}

/** Submits, commits, aborts, pauses and preempts in an order drawn from `seed`, with up to `depth` plans in flight. */
function run(requests: readonly Generation[], depth: number, seed: number): Run {
  const random = seededRandom(seed);
  const counts = blockCapacity({ blocks: 14, blockSize: 4 });
  const engine = new Engine(counts, random);
  const capacity = auditedCapacity(engine.capacity);
  const limits = { maxBatchTokens: 24, maxSequences: 6, maxPlansInFlight: depth };
  const policy = byPriority({ ageingMs: 1000, preemptive: true });
  let time = 0;
  const options = { ...limits, capacity, policy, admission: optimistic({ headroomTokens: 0 }), clock: () => time };
  const scheduler: Scheduler<Generation> = auditedScheduler(continuousScheduler<Generation>(options), limits);
  const tokens = new Map(requests.map(({ id }) => [id, [] as number[]]));
  const whole = new Set<string>();
  const flights: { plan: StepPlan<Generation>; results: (SequenceResult | undefined)[] }[] = [];
  let [next, preemptions, lateStops, deepest] = [0, 0, 0, 0];
  const commit = () => {
    const { plan, results } = flights.shift()!;
    for (const event of scheduler.commit(plan, results)) {
      if (event.type === 'token') tokens.get(event.id)!.push(event.token);
      if (event.type === 'preempted') preemptions++;
      if (event.type !== 'finished') continue;
      const { id, reason } = event;
      if (reason === 'stop' || reason === 'length') whole.add(id);
      if (flights.some((flight) => flight.plan.sequences.some((entry) => entry.id === id))) lateStops++;
    }
  };
  for (let turns = 0; next < requests.length || !scheduler.idle || flights.length > 0; turns++) {
    expect(turns).toBeLessThan(20_000);
    time += random();
    const choice = random();
    const any = requests[Math.floor(random() * requests.length)]!.id;
    if (choice < 0.15 && next < requests.length) scheduler.add(requests[next++]!);
    else if (choice < 0.16) scheduler.abort(any);
    else if (choice < 0.2) scheduler.pause(any);
    else if (choice < 0.3) for (const { id } of requests) scheduler.resume(id);
    else if (flights.length > 0 && (flights.length === depth || choice < 0.5)) commit();
    else if (!scheduler.idle) {
      const plan = scheduler.step();
      flights.push({ plan, results: engine.submit(plan) });
      if (plan.sequences.length > 0) deepest = Math.max(deepest, flights.length);
    } else if (flights.length > 0) commit();
  }
  expect(capacity.open.size).toBe(0);
  expect(capacity.pending.size).toBe(0);
  expect(counts.free).toBe(counts.total);
  // What was preempted and then aborted has no rows.
  for (const { cache } of engine.states.values()) expect(cache).toEqual([]);
  return { tokens, whole, preemptions, lateStops, deepest };
}

function drawRequests(seed: number): Generation[] {
  const random = seededRandom(seed);
  const upTo = (count: number) => Math.floor(random() * count);
  return Array.from({ length: 12 }, (_, i) => {
    const prompt = Array.from({ length: 1 + upTo(20) }, () => upTo(50));
    const stopToken = upTo(random() < 0.5 ? 50 : 1) || -1;
    const request = { id: `r${i}`, prompt, promptTokens: prompt.length, maxTokens: upTo(20), priority: upTo(3) };
    return { ...request, stopToken, serial: random() < 0.25 };
  });
}

describe('plans in flight', () => {
  it.each([1, 2, 3])('%i deep, in any order of calls, give the tokens of one sequence computed alone', (depth) => {
    let [preemptions, lateStops, deepest, whole] = [0, 0, 0, 0];
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const requests = drawRequests(seed);
        const outcome = run(requests, depth, seed + depth);
        for (const request of requests) {
          const right = expected(request);
          const got = outcome.tokens.get(request.id)!;
          // An aborted one has the first of them.
          expect(got).toEqual(outcome.whole.has(request.id) ? right : right.slice(0, got.length));
        }
        preemptions += outcome.preemptions;
        lateStops += outcome.lateStops;
        whole += outcome.whole.size;
        deepest = Math.max(deepest, outcome.deepest);
      }),
      runs(60),
    );
    // It went where it is hard.
    expect(deepest).toBe(depth);
    expect(preemptions).toBeGreaterThan(50);
    expect(whole).toBeGreaterThan(400);
    if (depth > 1) expect(lateStops).toBeGreaterThan(20);
  });

  it('leave out a serial sequence until its token is known, and nobody else', () => {
    const counts = blockCapacity({ blocks: 32, blockSize: 4 });
    const limits = { maxBatchTokens: 16, maxSequences: 4, maxPlansInFlight: 3 };
    const scheduler = auditedScheduler(continuousScheduler({ ...limits, capacity: counts }), limits);
    scheduler.add({ id: 'serial', promptTokens: 20, maxTokens: 3, serial: true });
    scheduler.add({ id: 'free', promptTokens: 2, maxTokens: 5 });
    const ids = (plan: StepPlan) => plan.sequences.map(({ id, start, end }) => `${id}[${start},${end})`);
    const plans = [scheduler.step(), scheduler.step(), scheduler.step()];
    // The chunks of its prompt follow each other; after the one that yields it waits.
    expect(plans.map(ids)).toEqual([['serial[0,16)'], ['serial[16,20)', 'free[0,2)'], ['free[2,3)']]);
    scheduler.commit(plans[0]!, [undefined]);
    expect(ids(scheduler.step())).toEqual(['free[3,4)']);
    scheduler.commit(plans[1]!, [{ tokens: [7] }, { tokens: [8] }]);
    const again = scheduler.step();
    expect(ids(again).sort()).toEqual(['free[4,5)', 'serial[20,21)']);
    scheduler.discard(again);
    expect(ids(scheduler.step()).sort()).toEqual(['free[4,5)', 'serial[20,21)']);
  });

  it('leave out who becomes serial until its tokens are known, and verify the drafts that come with the last of them', () => {
    const counts = blockCapacity({ blocks: 32, blockSize: 4 });
    const limits = { maxBatchTokens: 16, maxSequences: 4, maxPlansInFlight: 2 };
    const scheduler = auditedScheduler(continuousScheduler({ ...limits, capacity: counts }), limits);
    const request = { id: 'a', promptTokens: 2, maxTokens: 9, serial: false };
    scheduler.add(request);
    const ids = (plan: StepPlan) => plan.sequences.map(({ start, end, drafts }) => [start, end, drafts]);
    const plans = [scheduler.step(), scheduler.step()];
    request.serial = true;
    // one more of it is in flight: what could be guessed after it is not known
    scheduler.commit(plans[0]!, [{ tokens: [7], drafts: 3 }]);
    const empty = scheduler.step();
    expect(ids(empty)).toEqual([]);
    scheduler.commit(plans[1]!, [{ tokens: [8], drafts: 3 }]);
    const verifying = scheduler.step();
    expect(ids(verifying)).toEqual([[3, 7, 3]]);
    scheduler.commit(empty, []);
    request.serial = false;
    scheduler.commit(verifying, [{ tokens: [9, 1] }]);
    expect([scheduler.step(), scheduler.step()].map(ids)).toEqual([[[5, 6, 0]], [[6, 7, 0]]]);
  });
});
