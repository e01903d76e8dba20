import { describe, expect, it } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { estimated, optimistic, reserveAll } from '../scheduling/admission.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import type { Scheduler, SchedulerEvent, SequenceRequest } from '../scheduling/scheduler.ts';
import { fairShare } from './fair-share.ts';
import { longestPrefix } from './longest-prefix.ts';
import { byPriority, earliestDeadline, firstCome, shortestRemaining } from './policies.ts';
import type { Policy, SequenceView } from './policy.ts';

/** A scheduler with room for one sequence at a time, so that the order of admission is the policy's order. */
class Queue {
  now = 0;
  readonly cached: Map<string, number> = new Map();
  readonly admitted: string[] = [];
  readonly preempted: string[] = [];
  readonly scheduler: Scheduler;

  constructor(policy: Policy, maxSequences = 1) {
    const counts = blockCapacity({ blocks: 1000, blockSize: 1 });
    const capacity = { ...counts, cachedTokens: ({ id }: SequenceRequest) => this.cached.get(id) ?? 0 };
    this.scheduler = continuousScheduler({ maxBatchTokens: 64, maxSequences, capacity, policy, clock: () => this.now });
  }

  add(id: string, more: Partial<SequenceRequest> = {}): void {
    expect(this.scheduler.add({ id, promptTokens: 4, maxTokens: 4, ...more }).accepted).toBe(true);
  }

  turn(): readonly SchedulerEvent[] {
    const plan = this.scheduler.step();
    const events = this.scheduler.commit(
      plan,
      plan.sequences.map(({ yields }) => (yields ? { tokens: [0] } : undefined)),
    );
    for (const { type, id } of events) {
      if (type === 'admitted') this.admitted.push(id);
      if (type === 'preempted') this.preempted.push(id);
    }
    return events;
  }

  order(): string[] {
    while (!this.scheduler.idle) this.turn();
    return this.admitted;
  }
}

describe('who goes first', () => {
  it('is who came first', () => {
    const queue = new Queue(firstCome());
    for (const id of ['a', 'b', 'c']) queue.add(id);
    expect(queue.order()).toEqual(['a', 'b', 'c']);
  });

  it('is the higher priority, until waiting is worth as much', () => {
    const queue = new Queue(byPriority({ ageingMs: 100 }));
    queue.add('low');
    queue.now = 50;
    queue.add('high', { priority: 1 });
    queue.now = 120;
    queue.add('late', { priority: 1 });
    expect(queue.order()).toEqual(['high', 'low', 'late']);
  });

  it('is the higher priority whatever the wait, if that is worth nothing', () => {
    const queue = new Queue(byPriority({ ageingMs: Number.POSITIVE_INFINITY }));
    queue.add('low');
    queue.now = 1e9;
    queue.add('high', { priority: 1 });
    queue.add('higher', { priority: 2 });
    expect(queue.order()).toEqual(['higher', 'high', 'low']);
  });

  it('is who has the least left', () => {
    const queue = new Queue(shortestRemaining());
    queue.add('long', { maxTokens: 40 });
    queue.add('guessed', { maxTokens: 40, expectedTokens: 10 });
    queue.add('short', { maxTokens: 5 });
    queue.add('long prompt', { promptTokens: 30, maxTokens: 1 });
    expect(queue.order()).toEqual(['short', 'guessed', 'long prompt', 'long']);
  });

  it('is the long one too, when it has waited', () => {
    const queue = new Queue(shortestRemaining({ msPerToken: 10 }));
    queue.add('long', { maxTokens: 40 });
    queue.now = 500;
    queue.add('short', { maxTokens: 4 });
    expect(queue.order()).toEqual(['long', 'short']);
  });

  it('is the earliest deadline', () => {
    const queue = new Queue(earliestDeadline({ defaultMs: 1000 }));
    queue.add('none');
    queue.add('late', { deadlineMs: 2000 });
    queue.add('soon', { deadlineMs: 500 });
    expect(queue.order()).toEqual(['soon', 'none', 'late']);
  });

  it('is who has most in the cache, among those that came first', () => {
    const queue = new Queue(longestPrefix({ window: 3 }));
    for (const [id, cached] of [
      ['a', 0],
      ['b', 2],
      ['c', 3],
      ['d', 100],
    ] as const) {
      queue.cached.set(id, cached);
      queue.add(id, { promptTokens: 8 });
    }
    expect(queue.order()).toEqual(['c', 'd', 'b', 'a']);
  });

  it('is who was passed over often enough', () => {
    const queue = new Queue(longestPrefix({ window: 2, patience: 3 }));
    queue.add('cold');
    for (let i = 0; i < 8; i++) {
      queue.cached.set(`hot${i}`, 3);
      queue.add(`hot${i}`);
    }
    expect(queue.order().indexOf('cold')).toBe(3);
  });

  it('is the tenant that was served least', () => {
    const queue = new Queue(fairShare());
    for (let i = 0; i < 6; i++) queue.add(`a${i}`, { tenant: 'a' });
    for (let i = 0; i < 2; i++) queue.add(`b${i}`, { tenant: 'b' });
    expect(queue.order()).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'a3', 'a4', 'a5']);
  });

  it('is not a tenant that saved up by staying away', () => {
    const queue = new Queue(fairShare());
    for (let i = 0; i < 20; i++) queue.add(`a${i}`, { tenant: 'a' });
    for (let i = 0; i < 40; i++) queue.turn();
    for (let i = 0; i < 8; i++) queue.add(`b${i}`, { tenant: 'b' });
    const before = queue.admitted.length;
    const next = queue.order().slice(before, before + 8);
    expect(next.filter((id) => id.startsWith('b')).length).toBeLessThanOrEqual(5);
  });

  it('is not a tenant that comes while nobody waits, before others of that moment', () => {
    const queue = new Queue(fairShare());
    for (let i = 0; i < 6; i++) queue.add(`a${i}`, { tenant: 'a' });
    queue.order();
    for (let i = 0; i < 4; i++) queue.add(`b${i}`, { tenant: 'b' });
    for (let i = 6; i < 10; i++) queue.add(`a${i}`, { tenant: 'a' });
    expect(queue.order().slice(6)).toEqual(['b0', 'b1', 'a6', 'b2', 'a7', 'b3', 'a8', 'a9']);
  });

  it('is the tenant with the greater weight twice as often', () => {
    const queue = new Queue(fairShare({ weightOf: (tenant) => (tenant === 'a' ? 2 : 1) }));
    for (let i = 0; i < 30; i++) {
      queue.add(`a${i}`, { tenant: 'a' });
      queue.add(`b${i}`, { tenant: 'b' });
    }
    const first = queue.order().slice(0, 30);
    expect(first.filter((id) => id.startsWith('a')).length).toBe(20);
  });

  it('serves thousands of tenants that come and go', () => {
    const queue = new Queue(fairShare(), 8);
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 4; i++) queue.add(`r${round}-${i}`, { tenant: `t${round}-${i}`, maxTokens: 1 });
      queue.turn();
    }
    expect(queue.order()).toHaveLength(1200);
  });
});

describe('a preemptive policy', () => {
  it('gives a running place to who comes first', () => {
    const queue = new Queue(byPriority({ ageingMs: Number.POSITIVE_INFINITY, preemptive: true }), 2);
    for (const id of ['low', 'mid']) queue.add(id, { maxTokens: 8, priority: id === 'mid' ? 1 : 0 });
    queue.turn();
    queue.add('high', { priority: 2 });
    queue.turn();
    expect(queue.preempted).toEqual(['low']);
    expect(queue.order()).toEqual(['mid', 'low', 'high', 'low']);
  });

  it('leaves running who comes first', () => {
    const queue = new Queue(byPriority({ preemptive: true }));
    queue.add('a', { priority: 1 });
    queue.turn();
    queue.add('b', { priority: 1 });
    queue.order();
    expect(queue.preempted).toEqual([]);
  });
});

it('policies refuse nonsense', () => {
  for (const make of [
    () => byPriority({ ageingMs: 0 }),
    () => shortestRemaining({ msPerToken: Number.NaN }),
    () => earliestDeadline({ defaultMs: -1 }),
    () => longestPrefix({ window: 0 }),
    () => longestPrefix({ patience: 1.5 }),
  ]) {
    expect(make).toThrow(expect.toSatisfy((error: unknown) => isBatcherError(error, 'ERR_ARGUMENT')));
  }
});

describe('how much room is asked for', () => {
  const view = (newTokens: number, more: Partial<SequenceRequest> = {}): SequenceView => ({
    request: { id: 'a', promptTokens: 100, maxTokens: 1000, ...more },
    order: 0,
    arrival: 0,
    deadline: Number.POSITIVE_INFINITY,
    length: 100 + newTokens,
    computed: 0,
    newTokens,
    preemptions: 0,
  });

  it('is everything, or a little', () => {
    expect(reserveAll().tokens(view(0))).toBe(1100);
    expect(optimistic({ headroomTokens: 16 }).tokens(view(5))).toBe(121);
  });

  it('is what finished requests suggest', () => {
    const rule = estimated({ quantile: 0.9, minSamples: 100 });
    expect(rule.tokens(view(0))).toBe(1100);
    for (let i = 1; i <= 100; i++) rule.finished?.(view(i));
    expect(Math.abs(rule.tokens(view(0)) - 190)).toBeLessThan(4);
    expect(Math.abs(rule.tokens(view(50)) - 195)).toBeLessThan(4);
    expect(rule.tokens(view(0, { expectedTokens: 30 }))).toBe(130);
    expect(rule.tokens(view(40, { expectedTokens: 30 }))).toBeGreaterThan(180);
  });

  it('follows when requests change', () => {
    const rule = estimated({ minSamples: 1 });
    for (let i = 0; i < 2000; i++) rule.finished?.(view(500));
    for (let i = 0; i < 6000; i++) rule.finished?.(view(10));
    expect(rule.tokens(view(0))).toBeLessThan(112);
  });
});
