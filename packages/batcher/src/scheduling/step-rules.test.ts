import { describe, expect, it } from 'vitest';
import { fairShare } from '../policies/fair-share.ts';
import type { Policy, PolicyContext, SequenceView, WaitingQueue } from '../policies/policy.ts';
import { blockCapacity } from './block-capacity.ts';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { Scheduler, SequenceRequest, SequenceResult, StepPlan } from './scheduler.ts';
import { recordTrace, replayTrace, type TracedParts } from './trace.ts';

type Options = Partial<Parameters<typeof continuousScheduler>[0]>;
const make = (options: Options = {}) =>
  continuousScheduler({
    maxBatchTokens: 8,
    maxSequences: 4,
    capacity: blockCapacity({ blocks: 100, blockSize: 1 }),
    clock: () => 0,
    ...options,
  });

const answer = (plan: StepPlan): SequenceResult[] =>
  plan.sequences.map(({ end, drafts, yields }) => ({ tokens: yields ? [end - drafts] : [] }));

function turn(scheduler: Scheduler, results = answer): string[] {
  const plan = scheduler.step();
  scheduler.commit(plan, results(plan));
  return plan.sequences.map(
    ({ id, start, end, drafts }) => `${id}[${start},${end - drafts})${drafts ? `+${drafts}` : ''}`,
  );
}

describe('a step', () => {
  it('gives drafts half of what is left while a prompt waits, and all of it otherwise', () => {
    for (const prompts of [true, false]) {
      const scheduler = make();
      scheduler.add({ id: 'a', promptTokens: 1, maxTokens: 20 });
      turn(scheduler, () => [{ tokens: [1], drafts: 7 }]);
      if (prompts) scheduler.add({ id: 'b', promptTokens: 20, maxTokens: 1 });
      expect(turn(scheduler)).toEqual(prompts ? ['a[1,2)+3', 'b[0,4)'] : ['a[1,2)+7']);
    }
  });

  it('takes no more of a prompt at once than maxChunkTokens', () => {
    const scheduler = make({ maxChunkTokens: 3 });
    scheduler.add({ id: 'a', promptTokens: 7, maxTokens: 1 });
    scheduler.add({ id: 'b', promptTokens: 4, maxTokens: 1 });
    expect(turn(scheduler)).toEqual(['a[0,3)', 'b[0,3)']);
    expect(turn(scheduler).sort()).toEqual(['a[3,6)', 'b[3,4)']);
    expect(turn(scheduler)).toEqual(['a[6,7)']);
  });

  it('ends chunks of prompts at multiples of chunkMultiple, and begins with nobody who has no room for one', () => {
    const scheduler = make({ chunkMultiple: 4, maxSequences: 3 });
    scheduler.add({ id: 'a', promptTokens: 6, maxTokens: 3 });
    scheduler.add({ id: 'b', promptTokens: 9, maxTokens: 1 });
    scheduler.add({ id: 'c', promptTokens: 3, maxTokens: 1 });
    expect(turn(scheduler)).toEqual(['a[0,6)']);
    expect(turn(scheduler)).toEqual(['a[6,7)', 'b[0,4)', 'c[0,3)']);
    expect(turn(scheduler)).toEqual(['a[7,8)', 'b[4,9)']);
    expect(scheduler.idle).toBe(true);
  });

  it('refuses a chunkMultiple that a prompt could wait for for ever', () => {
    const refused = (options: Options) => expect(() => make(options));
    refused({ chunkMultiple: 6 }).toThrow(
      'continuousScheduler: chunkMultiple must leave room for one chunk in every step: at most 5 with maxBatchTokens 8, maxSequences 4, maxChunkTokens 8; got 6',
    );
    refused({ chunkMultiple: 4, maxChunkTokens: 3 }).toThrow('at most 3');
    refused({ chunkMultiple: 0 }).toThrow('chunkMultiple');
    expect(() => make({ chunkMultiple: 5 })).not.toThrow();
  });

  it('shares no parent that computes its prompt once more', () => {
    const counts = blockCapacity({ blocks: 100, blockSize: 1 });
    const parents: Record<string, string | undefined> = {};
    let isFull = false;
    const capacity: Capacity = {
      ...counts,
      admit(request, tokens, length, parent) {
        parents[request.id] = parent?.id;
        const found = counts.admit(request, tokens, length, undefined);
        return found === 'full' || !parent ? found : request.promptTokens - 1;
      },
      reserve(request, tokens) {
        const refused = isFull;
        isFull = false;
        return !refused && counts.reserve(request, tokens);
      },
    };
    const scheduler = make({ maxBatchTokens: 32, maxChunkTokens: 8, capacity });
    scheduler.add({ id: 'old', promptTokens: 1, maxTokens: 30 });
    scheduler.add({ id: 'parent', promptTokens: 20, maxTokens: 9 });
    for (let i = 0; i < 4; i++) turn(scheduler);
    // there when the child comes, but it gives up its room in that step, and begins anew in the one in which the child begins
    scheduler.add({ id: 'child', promptTokens: 20, maxTokens: 1, parent: 'parent' });
    isFull = true;
    expect(turn(scheduler)).toEqual(['old[4,5)']);
    expect(turn(scheduler).sort()).toEqual(['child[0,8)', 'old[5,6)', 'parent[0,8)']);
    expect(parents).toEqual({ old: undefined, parent: undefined, child: undefined });
  });

  it('charges a prompt once, however often it is admitted', () => {
    const charged: number[] = [];
    const inner = fairShare();
    const policy: Policy = {
      ...inner,
      createQueue: <S extends SequenceView>(context: PolicyContext<SequenceRequest>): WaitingQueue<S> => {
        const queue = inner.createQueue!<S>(context);
        const charge = queue.charge!.bind(queue);
        queue.charge = (sequence, promptTokens, newTokens) => {
          if (promptTokens > 0) charged.push(promptTokens);
          charge(sequence, promptTokens, newTokens);
        };
        return queue;
      },
    };
    const capacity = blockCapacity({ blocks: 4, blockSize: 2 });
    const scheduler = make({ policy, capacity, admission: { name: 'bare', tokens: () => 0 } });
    scheduler.add({ id: 'a', promptTokens: 4, maxTokens: 4 });
    scheduler.add({ id: 'b', promptTokens: 3, maxTokens: 4 });
    const admitted: string[] = [];
    while (!scheduler.idle) {
      const plan = scheduler.step();
      for (const event of scheduler.commit(plan, answer(plan))) if (event.type === 'admitted') admitted.push(event.id);
    }
    expect(admitted).toEqual(['a', 'b', 'b']);
    expect(charged).toEqual([4, 3]);
  });

  it('is not what a trace has where it computes other positions of the same sequences', () => {
    const chunks = (maxChunkTokens: number) => (parts: TracedParts) =>
      continuousScheduler({ maxBatchTokens: 8, maxSequences: 2, maxChunkTokens, ...parts });
    const { scheduler, trace } = recordTrace(
      { clock: () => 0, capacity: blockCapacity({ blocks: 9, blockSize: 1 }) },
      chunks(5),
    );
    scheduler.add({ id: 'a', promptTokens: 6, maxTokens: 1 });
    scheduler.step();
    expect(replayTrace(trace, chunks(5))).toBeUndefined();
    expect(replayTrace(trace, chunks(4))).toBeDefined();
  });
});
