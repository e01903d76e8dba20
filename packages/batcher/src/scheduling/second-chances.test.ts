import { describe, expect, it } from 'vitest';
import { byPriority, firstCome } from '../policies/policies.ts';
import type { Policy } from '../policies/policy.ts';
import { auditedScheduler } from '../testing/audited-scheduler.ts';
import { blockCapacity } from './block-capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { SchedulerEvent, SequenceResult, StepPlan } from './scheduler.ts';

type Entry = StepPlan['sequences'][number];

const byPosition = ({ end, drafts, yields }: Entry): SequenceResult | undefined =>
  yields ? { tokens: [end - drafts] } : undefined;

/** A scheduler over single tokens of room, with a clock that is moved by hand. */
function make(blocks: number, policy: Policy = firstCome()) {
  let now = 0;
  const limits = { maxBatchTokens: 16, maxSequences: 4 };
  const scheduler = auditedScheduler(
    continuousScheduler({
      ...limits,
      capacity: blockCapacity({ blocks, blockSize: 1 }),
      policy,
      admission: { name: 'bare', tokens: () => 0 },
      clock: () => now,
    }),
    limits,
  );
  const turn = (answer: (entry: Entry) => SequenceResult | undefined = byPosition) => {
    const plan = scheduler.step();
    const events: SchedulerEvent[] = scheduler.commit(plan, plan.sequences.map(answer));
    return { plan: show(plan), events };
  };
  const moveTo = (time: number) => {
    now = time;
  };
  return { scheduler, turn, moveTo };
}

const show = (plan: StepPlan) =>
  plan.sequences.map(
    ({ id, start, end, drafts }) => `${id}[${start},${end - drafts})${drafts > 0 ? `+${drafts}` : ''}`,
  );

const types = (events: readonly SchedulerEvent[]) => events.map(({ id, type }) => `${id} ${type}`);

describe('a plan that is taken back', () => {
  it('leaves the drafts that it was to verify to the next one', () => {
    const { scheduler, turn } = make(64);
    scheduler.add({ id: 'a', promptTokens: 3, maxTokens: 12 });
    turn(() => ({ tokens: [3], drafts: 2 }));
    const plan = scheduler.step();
    expect(show(plan)).toEqual(['a[3,4)+2']);
    scheduler.discard(plan);
    expect(turn().plan).toEqual(['a[3,4)+2']);
  });
});

describe('a sequence that lost its place', () => {
  /** `p` is preempted for `first` at time 100. */
  const preempted = () => {
    const bench = make(13);
    const { scheduler, turn, moveTo } = bench;
    scheduler.add({ id: 'first', promptTokens: 4, maxTokens: 6 });
    scheduler.add({ id: 'p', promptTokens: 6, maxTokens: 4 });
    moveTo(100);
    const events: string[] = [];
    while (!events.includes('p preempted')) events.push(...types(turn().events));
    return bench;
  };

  it('counts its waiting from then on', () => {
    const { scheduler, turn, moveTo } = preempted();
    moveTo(170);
    const admitted: SchedulerEvent[] = [];
    while (!scheduler.idle) admitted.push(...turn().events.filter(({ type }) => type === 'admitted'));
    expect(admitted).toMatchObject([{ id: 'p', resumed: true, waitMs: 70 }]);
  });

  it('lets its children wait until its prompt is computed again', () => {
    const { scheduler, turn } = preempted();
    scheduler.add({ id: 'child', promptTokens: 3, maxTokens: 1, parent: 'p' });
    const plans: string[][] = [];
    while (!scheduler.idle) plans.push(turn().plan);
    const again = plans.findIndex((plan) => plan.some((entry) => entry.startsWith('p[0,')));
    const child = plans.findIndex((plan) => plan.some((entry) => entry.startsWith('child[')));
    expect(again).toBeGreaterThanOrEqual(0);
    expect(child).toBe(again + 1);
  });
});

describe('a step in which a sequence had to give up its place', () => {
  it('admits nobody, though there is room for some', () => {
    const { scheduler, turn } = make(10, byPriority({ ageingMs: Number.POSITIVE_INFINITY }));
    scheduler.add({ id: 'a', promptTokens: 5, maxTokens: 5, priority: 2 });
    scheduler.add({ id: 'b', promptTokens: 4, maxTokens: 5, priority: 0 });
    expect(turn().plan).toEqual(['a[0,5)', 'b[0,4)']);
    scheduler.add({ id: 'small', promptTokens: 2, maxTokens: 1, priority: 1 });
    // One token is left: `a` takes it, `b` finds none and gives up its four.
    const { plan, events } = turn();
    expect(types(events)).toContain('b preempted');
    expect(plan).toEqual(['a[5,6)']);
    expect(turn().plan).toEqual(['a[6,7)', 'small[0,2)']);
  });
});
