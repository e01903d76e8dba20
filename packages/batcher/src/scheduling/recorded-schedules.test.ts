import { createHash } from 'node:crypto';
import client from 'prom-client';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../load/random.ts';
import { prometheusScheduler } from '../metrics/prometheus.ts';
import { schedulerStatistics } from '../metrics/scheduler-statistics.ts';
import { fairShare } from '../policies/fair-share.ts';
import { longestPrefix } from '../policies/longest-prefix.ts';
import { byPriority, earliestDeadline, firstCome, shortestRemaining } from '../policies/policies.ts';
import type { Policy } from '../policies/policy.ts';
import { type AdmissionRule, estimated, optimistic, reserveAll } from './admission.ts';
import { blockCapacity } from './block-capacity.ts';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import { observed } from './observe.ts';
import type { SequenceRequest, StepPlan } from './scheduler.ts';

const policies: readonly [string, () => Policy][] = [
  ['first come', () => firstCome()],
  ['priority, ageing', () => byPriority({ ageingMs: 40 })],
  ['priority, by default', () => byPriority({ preemptive: true })],
  ['priority, strict', () => byPriority({ ageingMs: Number.POSITIVE_INFINITY, preemptive: true })],
  ['shortest', () => shortestRemaining({ msPerToken: 3 })],
  ['shortest, preemptive', () => shortestRemaining({ preemptive: true })],
  ['deadline', () => earliestDeadline({ defaultMs: 90 })],
  ['deadline, preemptive', () => earliestDeadline({ preemptive: true })],
  ['prefix', () => longestPrefix({ window: 4, patience: 3 })],
  ['prefix, by default', () => longestPrefix()],
  ['fair', () => fairShare()],
  [
    'fair by weight',
    () => fairShare({ weightOf: (name) => (name === 'b' ? 3 : 1), promptTokenPrice: 2, newTokenPrice: 1 }),
  ],
];
const admissions: readonly [string, () => AdmissionRule][] = [
  ['optimistic', () => optimistic()],
  ['bare', () => optimistic({ headroomTokens: 0 })],
  ['all', () => reserveAll()],
  ['estimated', () => estimated({ minSamples: 5, quantile: 0.7 })],
];
const limits = [
  { blocks: 20, maxBatchTokens: 16, maxSequences: 5, maxWaiting: 12 },
  { blocks: 10, maxBatchTokens: 24, maxSequences: 6, chunkMultiple: 8, maxPlansInFlight: 3, maxWaiting: 9 },
  { blocks: 9, maxBatchTokens: 12, maxSequences: 8, maxChunkTokens: 5, maxPlansInFlight: 2 },
];

/** A hash of what was written into it. */
class Digest {
  readonly #hash = createHash('sha256');
  write(...values: readonly unknown[]): void {
    this.#hash.update(`${JSON.stringify(values)}\n`);
  }
  get text(): string {
    return this.#hash.copy().digest('hex').slice(0, 12);
  }
}

/** 500 calls of a scheduler that are drawn from `seed`, in a line: what came out, in figures and as a hash of everything. */
async function record(seed: number, policy: Policy, admission: AdmissionRule, limit: (typeof limits)[number]) {
  const random = seededRandom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const chance = (share: number) => random() < share;
  let now = 1000;
  const clock = () => now;
  const { blocks, ...own } = limit;
  const counts = blockCapacity({ blocks, blockSize: 4 });
  const digest = new Digest();
  /** What a cache might have of a prompt; no whole blocks. */
  const cached = ({ id, promptTokens }: SequenceRequest) => (Number(id.slice(1)) * 7) % (promptTokens + 3);
  const capacity: Capacity = {
    maxSequenceTokens: counts.maxSequenceTokens,
    cachedTokens: cached,
    admit(request, tokens, length, parent) {
      digest.write('admit', request.id, tokens, length, parent?.id);
      if (chance(0.15)) return 'pending';
      const found = counts.admit(request, tokens, length, parent);
      return found === 'full' ? found : cached(request);
    },
    reserve: (request, tokens) => counts.reserve(request, tokens),
    release(request, why) {
      digest.write('release', request.id, why);
      counts.release(request, why);
    },
    withdraw: ({ id }) => digest.write('withdraw', id),
  };
  const statistics = schedulerStatistics({ maxBatchTokens: own.maxBatchTokens, clock });
  const registry = new client.Registry();
  const scheduler = observed(
    continuousScheduler({ ...own, capacity, policy, admission, clock }),
    statistics,
    prometheusScheduler({ client, registry, maxBatchTokens: own.maxBatchTokens }),
  );
  const flights: StepPlan[] = [];
  let added = 0;
  const someone = () => `r${Math.max(0, added - 1 - below(12))}`;
  const add = () => {
    const answer = scheduler.add({
      // one that has ended may come again
      id: chance(0.1) ? someone() : `r${added++}`,
      promptTokens: 1 + below(20),
      maxTokens: below(14),
      tenant: 'abc'[below(3)]!,
      ...(chance(0.5) && { priority: below(4) - 1 }),
      ...(chance(0.3) && { expectedTokens: below(9) }),
      ...(chance(0.3) && { deadlineMs: 10 + below(200) }),
      ...(chance(0.2) && { parent: someone() }),
      ...(chance(0.1) && { serial: true }),
    });
    digest.write('add', answer.accepted || [answer.error.code, answer.error.retryAfterMs]);
  };
  const commit = () => {
    const plan = flights.shift();
    if (!plan) return;
    const results = plan.sequences.map(({ yields, drafts, request }) => {
      const tokens = yields && request.maxTokens > 0 ? [1, ...new Array<number>(below(drafts + 1)).fill(2)] : [];
      return { tokens, ...(chance(0.05) && { finish: 'stop' as const }), ...(chance(0.3) && { drafts: below(5) }) };
    });
    for (const { request, ...event } of scheduler.commit(plan, results)) digest.write(event);
  };
  const step = () => {
    if (flights.length >= (own.maxPlansInFlight ?? 1)) return;
    const plan = scheduler.step();
    flights.push(plan);
    digest.write(plan.step, plan.tokens, ...plan.sequences.map(({ request, ...entry }) => entry));
  };
  for (let call = 0; call < 500; call++) {
    now += below(8);
    const what = random();
    if (what < 0.22) add();
    else if (what < 0.6) step();
    else if (what < 0.92) commit();
    else if (what < 0.94) digest.write(scheduler.abort(someone()));
    else if (what < 0.96) digest.write(scheduler.pause(someone()));
    else if (what < 0.985) digest.write(scheduler.resume(someone()));
    else if (flights.length > 0) scheduler.discard(flights.splice(below(flights.length))[0]!);
    digest.write(scheduler.load, scheduler.idle);
  }
  const figures = statistics.figures();
  digest.write(figures, await registry.metrics());
  const { requests, tokens, preemptions, steps } = figures;
  const ends = Object.values(requests.finished).join('/');
  return `${steps} steps, ${tokens.computed} tokens, ${preemptions} preempted, ended ${ends}, ${digest.text}`;
}

describe('the same requests', () => {
  // what is meant to change is written anew by `npx vitest run -u`; figures say how much did
  it('are scheduled as they were before, by every policy', async () => {
    const lines: string[] = [];
    let seed = 0;
    for (const [p, [name, policy]] of policies.entries())
      for (const [i, limit] of limits.entries()) {
        const [rule, admission] = admissions[(p + i) % admissions.length]!;
        lines.push(`${name}, ${rule}, limits ${i}: ${await record(++seed, policy(), admission(), limit)}`);
      }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-schedules.txt');
  });
});
