import { describe, expect, it } from 'vitest';
import { fairShare } from '../policies/fair-share.ts';
import { longestPrefix } from '../policies/longest-prefix.ts';
import { byPriority, earliestDeadline, shortestRemaining } from '../policies/policies.ts';
import { estimated, reserveAll } from '../scheduling/admission.ts';
import { blockCapacity, slotCapacity } from '../scheduling/block-capacity.ts';
import type { Capacity } from '../scheduling/capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { observed } from '../scheduling/observe.ts';
import type { ScheduledSequence, Scheduler, SchedulerEvent, StepPlan } from '../scheduling/scheduler.ts';
import { AuditError } from './audit-error.ts';
import { auditedScheduler } from './audited-scheduler.ts';
import { capacityContract } from './capacity-contract.ts';
import { type MakeScheduler, schedulerContract } from './scheduler-contract.ts';

const schedulers: Record<string, MakeScheduler> = {
  'first come': (parts) => continuousScheduler(parts),
  'priority, reserving all': (parts) =>
    continuousScheduler({ ...parts, policy: byPriority(), admission: reserveAll() }),
  'shortest remaining': (parts) => continuousScheduler({ ...parts, policy: shortestRemaining({ preemptive: true }) }),
  'earliest deadline': (parts) => continuousScheduler({ ...parts, policy: earliestDeadline() }),
  'longest prefix': (parts) => continuousScheduler({ ...parts, policy: longestPrefix() }),
  'chunks on a grid': (parts) => continuousScheduler({ ...parts, chunkMultiple: 3 }),
  'fair share, estimating': (parts) =>
    continuousScheduler({ ...parts, policy: fairShare(), admission: estimated({ minSamples: 2, quantile: 0.5 }) }),
};

describe.each(Object.entries(schedulers))('the contract of a scheduler: %s', (_, make) => {
  for (const { name, run } of schedulerContract(make)) it(name, run);
});

const capacities: Record<string, () => Capacity> = {
  'blocks of 4': () => blockCapacity({ blocks: 16, blockSize: 4 }),
  'single tokens': () => blockCapacity({ blocks: 50, blockSize: 1 }),
  slots: () => slotCapacity({ slots: 5, tokensPerSlot: 32 }),
};

describe.each(Object.entries(capacities))('the contract of a capacity: %s', (_, make) => {
  const request = (id: string, promptTokens: number, maxTokens: number) => ({ id, promptTokens, maxTokens });
  for (const { name, run } of capacityContract(() => ({ capacity: make(), request }))) it(name, run);
});

/** A scheduler of which some calls are replaced. */
const override = (scheduler: Scheduler, changes: Partial<Scheduler>): Scheduler =>
  Object.assign(observed(scheduler), changes);

/** Changes a scheduler's plans on their way. */
const replan = (change: (plan: StepPlan) => StepPlan): MakeScheduler => {
  return (parts) => {
    const scheduler = continuousScheduler(parts);
    const originals = new Map<StepPlan, StepPlan>();
    return override(scheduler, {
      step() {
        const plan = scheduler.step();
        const changed = change(plan);
        originals.set(changed, plan);
        return changed;
      },
      commit: (plan, results) => scheduler.commit(originals.get(plan)!, results),
      discard: (plan) => scheduler.discard(originals.get(plan)!),
    });
  };
};

const eachEntry = (change: (entry: ScheduledSequence) => ScheduledSequence): MakeScheduler =>
  replan((plan) => {
    const sequences = plan.sequences.map(change);
    return { ...plan, sequences, tokens: sequences.reduce((sum, { start, end }) => sum + end - start, 0) };
  });

describe('the contract of a scheduler notices', () => {
  const faults: Record<string, MakeScheduler> = {
    'a token that is computed twice': eachEntry((entry) =>
      entry.start > 0 ? { ...entry, start: entry.start - 1 } : entry,
    ),
    'a token that is left out': eachEntry((entry) =>
      entry.end - entry.start > 1 ? { ...entry, start: entry.start + 1 } : entry,
    ),
    'a yield that is not one': eachEntry((entry) => ({ ...entry, yields: !entry.yields })),
    'a wrong sum of tokens': replan((plan) => ({ ...plan, tokens: plan.tokens + 1 })),
    'a step over the budget': (parts) => continuousScheduler({ ...parts, maxBatchTokens: parts.maxBatchTokens * 2 }),
    'too many sequences': (parts) => continuousScheduler({ ...parts, maxSequences: parts.maxSequences + 4 }),
    'pauses that do nothing': (parts) =>
      override(continuousScheduler(parts), { pause: () => true, resume: () => true }),
    'aborts that do nothing': (parts) => override(continuousScheduler(parts), { abort: () => true }),
    'a leak': (parts) => {
      const { capacity } = parts;
      let releases = 0;
      const leaky: Capacity = {
        maxSequenceTokens: capacity.maxSequenceTokens,
        admit: (...args) => capacity.admit(...args),
        reserve: (...args) => capacity.reserve(...args),
        release: (...args) => {
          if (releases++ % 3 > 0) capacity.release(...args);
        },
      };
      return continuousScheduler({ ...parts, capacity: leaky });
    },
  };

  it.each(Object.entries(faults))('%s', (_, make) => {
    const broken = schedulerContract(make).filter(({ run }) => {
      try {
        run();
        return false;
      } catch {
        return true;
      }
    });
    expect(broken.length).toBeGreaterThan(0);
  });

  it('events that lose, double or change tokens', () => {
    const run = (change: (token: number) => readonly number[]) => () => {
      const limits = { maxBatchTokens: 8, maxSequences: 2 };
      const capacity = blockCapacity({ blocks: 64, blockSize: 4 });
      const inner = continuousScheduler({ ...limits, capacity, clock: () => 0 });
      const commit: Scheduler['commit'] = (plan, results) => {
        const changed: SchedulerEvent[] = [];
        for (const event of inner.commit(plan, results)) {
          if (event.type !== 'token') changed.push(event);
          else for (const token of change(event.token)) changed.push({ ...event, token });
        }
        return changed;
      };
      const scheduler = auditedScheduler(override(inner, { commit }), limits);
      scheduler.add({ id: 'a', promptTokens: 2, maxTokens: 4 });
      while (!scheduler.idle) {
        const plan = scheduler.step();
        scheduler.commit(
          plan,
          plan.sequences.map(({ end }) => ({ tokens: [end] })),
        );
      }
    };
    expect(run((token) => [token])).not.toThrow();
    expect(run((token) => (token === 3 ? [] : [token]))).toThrow(AuditError);
    expect(run((token) => (token === 3 ? [token, token] : [token]))).toThrow(AuditError);
    expect(run((token) => [token + 1])).toThrow(AuditError);
  });
});

describe('the contract of a capacity notices', () => {
  const faults: Record<string, (capacity: Capacity) => Partial<Capacity>> = {
    'more promised than there is': ({ maxSequenceTokens }) => ({ maxSequenceTokens: maxSequenceTokens + 8 }),
    'a release that does nothing': () => ({ release: () => {} }),
    'a growth that is refused': (capacity) => ({
      reserve: (request, tokens) => tokens < 9 && capacity.reserve(request, tokens),
    }),
    'no end': () => ({ admit: () => 0 }),
  };

  it.each(Object.entries(faults))('%s', (_, fault) => {
    const make = () => {
      const inner = blockCapacity({ blocks: 16, blockSize: 4 });
      const { maxSequenceTokens, admit, reserve, release } = inner;
      return {
        capacity: { maxSequenceTokens, admit, reserve, release, ...fault(inner) },
        request: (id: string, promptTokens: number, maxTokens: number) => ({ id, promptTokens, maxTokens }),
      };
    };
    const broken = capacityContract(make).filter(({ run }) => {
      try {
        run();
        return false;
      } catch {
        return true;
      }
    });
    expect(broken.length).toBeGreaterThan(0);
  });
});
