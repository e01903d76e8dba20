import { describe, expect, it } from 'vitest';
import { auditedCapacity } from '../testing/audited-capacity.ts';
import { auditedScheduler } from '../testing/audited-scheduler.ts';
import { blockCapacity } from './block-capacity.ts';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { SchedulerEvent, StepPlan } from './scheduler.ts';

/** A capacity that shares a parent's tokens, and a scheduler over it. */
function make(
  options: { readonly blocks?: number; readonly maxSequences?: number; readonly capacity?: Capacity } = {},
) {
  const { blocks = 200, maxSequences = 8 } = options;
  const counts = blockCapacity({ blocks, blockSize: 1 });
  const parents: string[] = [];
  const sharing: Capacity = {
    ...counts,
    admit(request, tokens, length, parent) {
      const found = counts.admit(request, tokens, length, undefined);
      if (found === 'full' || !parent) return found;
      parents.push(`${request.id}<${parent.id}`);
      return request.promptTokens - 1;
    },
  };
  const limits = { maxBatchTokens: 16, maxSequences };
  const capacity = auditedCapacity(options.capacity ?? sharing);
  const scheduler = auditedScheduler(continuousScheduler({ ...limits, capacity, clock: () => 0 }), limits);
  const turn = (): { plan: string[]; events: readonly SchedulerEvent[] } => {
    const plan = scheduler.step();
    return { plan: show(plan), events: scheduler.commit(plan, plan.sequences.map(answer)) };
  };
  return { scheduler, parents, turn, capacity };
}

const show = (plan: StepPlan) => plan.sequences.map(({ id, start, end }) => `${id}[${start},${end})`);
const answer = ({ end, yields }: StepPlan['sequences'][number]) => (yields ? { tokens: [end] } : undefined);

describe('n samples of one prompt', () => {
  it('compute it once', () => {
    const { scheduler, parents, turn } = make();
    scheduler.add({ id: 'a', promptTokens: 20, maxTokens: 3 });
    for (const id of ['b', 'c']) scheduler.add({ id, promptTokens: 20, maxTokens: 3, parent: 'a' });
    expect(turn().plan).toEqual(['a[0,16)']);
    expect(turn().plan).toEqual(['a[16,20)']);
    expect(turn().plan).toEqual(['a[20,21)', 'b[19,20)', 'c[19,20)']);
    expect(turn().plan).toEqual(['a[21,22)', 'b[20,21)', 'c[20,21)']);
    turn();
    expect(scheduler.idle).toBe(true);
    expect(parents).toEqual(['b<a', 'c<a']);
  });

  it('go on alone when the first one is gone', () => {
    const { scheduler, parents, turn } = make();
    scheduler.add({ id: 'a', promptTokens: 20, maxTokens: 3 });
    scheduler.add({ id: 'b', promptTokens: 20, maxTokens: 1, parent: 'a' });
    turn();
    scheduler.abort('a');
    expect(turn().plan).toEqual(['b[0,16)']);
    expect(turn().plan).toEqual(['b[16,20)']);
    expect(scheduler.idle).toBe(true);
    expect(parents).toEqual([]);
  });

  it('can be aborted while they wait for it', () => {
    const { scheduler, turn } = make();
    scheduler.add({ id: 'a', promptTokens: 20, maxTokens: 2 });
    scheduler.add({ id: 'b', promptTokens: 20, maxTokens: 1, parent: 'a' });
    turn();
    expect(scheduler.load).toMatchObject({ waiting: 1, running: 1 });
    expect(scheduler.abort('b')).toBe(true);
    expect(scheduler.load).toMatchObject({ waiting: 0, running: 1 });
    while (!scheduler.idle) turn();
  });
});

it('beams branch off where their parent stands', () => {
  const { scheduler, parents, turn } = make();
  scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 8 });
  turn();
  turn();
  // a is 6 tokens long now, 5 of them computed: the branch has another last token.
  scheduler.add({ id: 'b', promptTokens: 6, maxTokens: 4, parent: 'a' });
  expect(turn().plan).toEqual(['a[5,6)', 'b[5,6)']);
  expect(parents).toEqual(['b<a']);
});

describe('a capacity that is not ready', () => {
  it('keeps its own request back, and nobody else', () => {
    const counts = blockCapacity({ blocks: 100, blockSize: 1 });
    let ready = false;
    const capacity: Capacity = {
      ...counts,
      admit: (request, ...rest) => (request.id === 'cold' && !ready ? 'pending' : counts.admit(request, ...rest)),
    };
    const { scheduler, turn } = make({ capacity });
    scheduler.add({ id: 'cold', promptTokens: 4, maxTokens: 1 });
    scheduler.add({ id: 'warm', promptTokens: 4, maxTokens: 2 });
    expect(turn().plan).toEqual(['warm[0,4)']);
    expect(turn().plan).toEqual(['warm[4,5)']);
    expect(turn().plan).toEqual([]);
    expect(scheduler.idle).toBe(false);
    ready = true;
    expect(turn().plan).toEqual(['cold[0,4)']);
    expect(scheduler.idle).toBe(true);
  });
});

describe('a capacity that breaks its promise', () => {
  const broken = (limit: number): Capacity => {
    const counts = blockCapacity({ blocks: 100, blockSize: 1 });
    return {
      ...counts,
      admit: (request, tokens, ...rest) => (tokens > limit ? 'full' : counts.admit(request, tokens, ...rest)),
      reserve: (request, tokens) => tokens <= limit && counts.reserve(request, tokens),
    };
  };

  it('ends the request with ERR_CAPACITY instead of asking for ever', () => {
    for (const promptTokens of [30, 8]) {
      const { scheduler, turn, capacity } = make({ capacity: broken(20) });
      scheduler.add({ id: 'a', promptTokens, maxTokens: 40 });
      const events: SchedulerEvent[] = [];
      for (let i = 0; !scheduler.idle && i < 100; i++) events.push(...turn().events);
      const last = events.at(-1);
      expect(last).toMatchObject({ type: 'finished', reason: 'error', error: { code: 'ERR_CAPACITY' } });
      expect(capacity.open.size).toBe(0);
    }
  });
});

describe('a capacity that is told of what it waits for', () => {
  const pendingFor = (ids: readonly string[]) => {
    const counts = blockCapacity({ blocks: 100, blockSize: 1 });
    const withdrawn: string[] = [];
    const ready = new Set<string>();
    const capacity: Capacity = {
      ...counts,
      admit: (request, ...rest) =>
        ids.includes(request.id) && !ready.has(request.id) ? 'pending' : counts.admit(request, ...rest),
      withdraw: ({ id }) => withdrawn.push(id),
    };
    let now = 0;
    const limits = { maxBatchTokens: 16, maxSequences: 4 };
    const audited = auditedCapacity(capacity);
    const scheduler = continuousScheduler({ ...limits, capacity: audited, clock: () => now });
    const step = () => {
      const plan = scheduler.step();
      scheduler.commit(
        plan,
        plan.sequences.map(({ yields }) => (yields ? { tokens: [1] } : undefined)),
      );
    };
    const moveTo = (time: number) => {
      now = time;
    };
    return { scheduler, step, withdrawn, ready, audited, moveTo };
  };

  it('hears of a pending request that was aborted or came to its deadline, once', () => {
    const { scheduler, step, withdrawn, audited, moveTo } = pendingFor(['a', 'b']);
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 1 });
    scheduler.add({ id: 'b', promptTokens: 4, maxTokens: 1, deadlineMs: 50 });
    for (let i = 0; i < 3; i++) step();
    expect(withdrawn).toEqual([]);
    scheduler.abort('a');
    expect(withdrawn).toEqual(['a']);
    moveTo(50);
    step();
    step();
    expect(withdrawn).toEqual(['a', 'b']);
    expect(audited.pending.size).toBe(0);
    expect(scheduler.idle).toBe(true);
  });

  it('hears nothing of one that it has not been asked for, nor of one that it has opened since', () => {
    const { scheduler, step, withdrawn, ready } = pendingFor(['a']);
    scheduler.add({ id: 'never asked', promptTokens: 4, maxTokens: 1 });
    scheduler.abort('never asked');
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 9 });
    step();
    ready.add('a');
    step();
    scheduler.abort('a');
    expect(withdrawn).toEqual([]);
  });

  it('hears of a paused one that is aborted', () => {
    const { scheduler, step, withdrawn } = pendingFor(['a']);
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 1 });
    step();
    scheduler.pause('a');
    step();
    scheduler.abort('a');
    expect(withdrawn).toEqual(['a']);
  });
});
