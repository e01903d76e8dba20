import { expect, it } from 'vitest';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import type { Scheduler, StepPlan } from '../scheduling/scheduler.ts';
import type { ContinuousBatcherOptions } from './batcher.ts';
import { continuousBatcher } from './continuous-batcher.ts';

const scheduler = () =>
  continuousScheduler({ maxBatchTokens: 16, maxSequences: 8, capacity: blockCapacity({ blocks: 64, blockSize: 4 }) });
const run = (plan: StepPlan) => plan.sequences.map(({ end, yields }) => (yields ? { tokens: [end] } : undefined));
const open = (parts: Partial<ContinuousBatcherOptions> = {}) =>
  continuousBatcher({ scheduler: scheduler(), run, ...parts });

async function collect(stream: AsyncIterable<number>): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of stream) tokens.push(token);
  return tokens;
}

it('closing ends streams with the reason that is given, or one that says so', async () => {
  const reasons: [reason: Error | undefined, message: string][] = [
    [undefined, 'close: the batcher was closed before the request had ended'],
    [new Error('the machine goes down'), 'the machine goes down'],
  ];
  for (const [reason, message] of reasons) {
    const batcher = open();
    const stream = batcher.generate({ id: 'a', promptTokens: 3, maxTokens: 100 });
    await stream.next();
    await batcher.close({ abort: true, reason });
    await expect(collect(stream)).rejects.toThrow(message);
    expect(await stream.ended).toMatchObject({ reason: 'aborted' });
  }
});

it('a scheduler that breaks down leaves nobody waiting, and the tokens that came are counted', async () => {
  const broken = new Error('out of order');
  let steps = 0;
  const inner = scheduler();
  const breaking: Scheduler = {
    add: (request) => inner.add(request),
    step: () => {
      if (steps++ === 3) throw broken;
      return inner.step();
    },
    commit: (plan, results) => inner.commit(plan, results),
    discard: (plan) => inner.discard(plan),
    abort: () => {
      throw new Error('cannot even abort');
    },
    pause: (id) => inner.pause(id),
    resume: (id) => inner.resume(id),
    get idle() {
      return inner.idle;
    },
    get load() {
      return inner.load;
    },
  };
  const batcher = open({ scheduler: breaking });
  const streams = ['a', 'b'].map((id) => batcher.generate({ id, promptTokens: 3, maxTokens: 100 }));
  for (const stream of streams) {
    await expect(collect(stream)).rejects.toBe(broken);
    expect(await stream.ended).toEqual({ reason: 'error', newTokens: 3, error: broken });
  }
  await batcher.drain();
  expect(() => batcher.generate({ id: 'c', promptTokens: 3, maxTokens: 1 })).toThrow(/closed/);
});
