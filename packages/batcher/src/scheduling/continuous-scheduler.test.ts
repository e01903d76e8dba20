import { describe, expect, it } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { reserveAll } from './admission.ts';
import { blockCapacity } from './block-capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { Scheduler, SchedulerEvent, SequenceResult, StepPlan } from './scheduler.ts';

/** Entries as text: id[start,end) with + drafts, and ! where they yield. */
const show = (plan: StepPlan): string[] =>
  plan.sequences.map(({ id, start, end, drafts, yields }) => {
    return `${id}[${start},${end - drafts})${drafts ? `+${drafts}` : ''}${yields ? '!' : ''}`;
  });

const tell = (events: readonly SchedulerEvent[]): string[] =>
  events.map((event) => {
    if (event.type === 'token') return `${event.id}:${event.token}`;
    return `${event.id} ${event.type}${event.type === 'finished' ? ` ${event.reason}` : ''}`;
  });

/** Answers every plan with one token, its position in the stream. */
const answer = (plan: StepPlan): SequenceResult[] =>
  plan.sequences.map(({ end, yields, request }) => ({ tokens: yields && request.maxTokens > 0 ? [end] : [] }));

const turn = (scheduler: Scheduler, results = answer): { plan: string[]; events: string[] } => {
  const plan = scheduler.step();
  return { plan: show(plan), events: tell(scheduler.commit(plan, results(plan))) };
};

const make = (options: Partial<Parameters<typeof continuousScheduler>[0]> = {}) =>
  continuousScheduler({
    maxBatchTokens: 8,
    maxSequences: 4,
    capacity: blockCapacity({ blocks: 16, blockSize: 4 }),
    clock: () => 0,
    ...options,
  });

describe('a step', () => {
  it('computes a prompt in chunks of the budget, beside decoding sequences', () => {
    const scheduler = make();
    scheduler.add({ id: 'a', promptTokens: 3, maxTokens: 3 });
    scheduler.add({ id: 'b', promptTokens: 12, maxTokens: 1 });
    expect(turn(scheduler)).toEqual({
      plan: ['a[0,3)!', 'b[0,5)'],
      events: ['a admitted', 'b admitted', 'a firstToken', 'a:3'],
    });
    expect(turn(scheduler)).toEqual({
      plan: ['a[3,4)!', 'b[5,12)!'],
      events: ['a:4', 'b firstToken', 'b:12', 'b finished length'],
    });
    expect(turn(scheduler)).toEqual({ plan: ['a[4,5)!'], events: ['a:5', 'a finished length'] });
    expect(scheduler.idle).toBe(true);
  });

  it('preempts the last one for want of room, and goes on with it where it stood', () => {
    const capacity = blockCapacity({ blocks: 4, blockSize: 2 });
    const scheduler = make({ capacity, admission: { name: 'bare', tokens: () => 0 } });
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 4 });
    scheduler.add({ id: 'b', promptTokens: 3, maxTokens: 4 });
    expect(turn(scheduler).plan).toEqual(['a[0,4)!', 'b[0,3)!']);
    expect(turn(scheduler)).toEqual({ plan: ['a[4,5)!'], events: ['b preempted', 'a:5'] });
    expect(turn(scheduler).plan).toEqual(['a[5,6)!']);
    expect(turn(scheduler)).toEqual({ plan: ['a[6,7)!'], events: ['a:7', 'a finished length'] });
    expect(turn(scheduler)).toEqual({ plan: ['b[0,4)!'], events: ['b admitted', 'b:4'] });
    expect(turn(scheduler).events).toEqual(['b:5']);
    expect(turn(scheduler).events).toEqual(['b:6', 'b finished length']);
    expect(capacity.free).toBe(4);
    expect(scheduler.idle).toBe(true);
  });

  it('reserves everything where it is told to, and then never preempts', () => {
    const scheduler = make({ capacity: blockCapacity({ blocks: 4, blockSize: 2 }), admission: reserveAll() });
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 4 });
    scheduler.add({ id: 'b', promptTokens: 3, maxTokens: 4 });
    const plans = [];
    while (!scheduler.idle) plans.push(turn(scheduler).plan.join());
    expect(plans).toEqual(['a[0,4)!', 'a[4,5)!', 'a[5,6)!', 'a[6,7)!', 'b[0,3)!', 'b[3,4)!', 'b[4,5)!', 'b[5,6)!']);
  });

  it('verifies drafts and takes back the rejected ones', () => {
    const scheduler = make();
    scheduler.add({ id: 'a', promptTokens: 2, maxTokens: 9 });
    turn(scheduler, () => [{ tokens: [2], drafts: 3 }]);
    expect(turn(scheduler, () => [{ tokens: [3, 4], drafts: 9 }]).plan).toEqual(['a[2,3)+3!']);
    expect(turn(scheduler, () => [{ tokens: [5] }]).plan).toEqual(['a[4,5)+5!']);
    expect(turn(scheduler).plan).toEqual(['a[5,6)!']);
  });
});

describe('what cannot be', () => {
  it('is refused at once', () => {
    const scheduler = make({ maxWaiting: 1 });
    const code = (request: Parameters<Scheduler['add']>[0]) => {
      const admission = scheduler.add(request);
      return admission.accepted ? 'accepted' : admission.error.code;
    };
    expect(code({ id: 'a', promptTokens: 65, maxTokens: 1 })).toBe('ERR_TOO_LARGE');
    expect(code({ id: 'a', promptTokens: 64, maxTokens: 1 })).toBe('accepted');
    expect(code({ id: 'a', promptTokens: 1, maxTokens: 1 })).toBe('ERR_DUPLICATE_ID');
    expect(code({ id: 'b', promptTokens: 1, maxTokens: 1 })).toBe('ERR_QUEUE_FULL');
    expect(code({ id: 'b', promptTokens: 1.5, maxTokens: 1 })).toBe('ERR_ARGUMENT');
    expect(code({ id: 'b', promptTokens: 1, maxTokens: -1 })).toBe('ERR_ARGUMENT');
    expect(code({ id: 'b', promptTokens: 1, maxTokens: 1, priority: Number.NaN })).toBe('ERR_ARGUMENT');
    expect(code({ id: 'b', promptTokens: 1, maxTokens: 1, deadlineMs: Number.NaN })).toBe('ERR_ARGUMENT');
    expect(code({ id: 'b', promptTokens: 1, maxTokens: 1, deadlineMs: 0 })).toBe('ERR_DEADLINE');
  });

  it('is thrown, and changes nothing', () => {
    const scheduler = make();
    scheduler.add({ id: 'a', promptTokens: 2, maxTokens: 2 });
    const plan = scheduler.step();
    const refused = (run: () => unknown) => {
      try {
        run();
      } catch (error) {
        return isBatcherError(error, 'ERR_PROTOCOL');
      }
      return false;
    };
    expect(refused(() => scheduler.step())).toBe(true);
    expect(refused(() => scheduler.commit(plan, []))).toBe(true);
    expect(refused(() => scheduler.commit(plan, [{ tokens: [1, 2] }]))).toBe(true);
    expect(refused(() => scheduler.commit({ ...plan }, answer(plan)))).toBe(true);
    scheduler.commit(plan, answer(plan));
    expect(turn(scheduler).plan).toEqual(['a[2,3)!']);
  });
});
