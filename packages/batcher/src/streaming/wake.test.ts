import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import type { Capacity } from '../scheduling/capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { continuousBatcher } from './continuous-batcher.ts';

/** A batcher over a capacity that is not ready until `ready` is called, and counts how often it is asked. */
function make() {
  const counts = blockCapacity({ blocks: 64, blockSize: 4 });
  let [isReady, asked, steps] = [false, 0, 0];
  const capacity: Capacity = {
    ...counts,
    admit(...request) {
      asked++;
      return isReady ? counts.admit(...request) : 'pending';
    },
  };
  const scheduler = continuousScheduler({ maxBatchTokens: 16, maxSequences: 8, capacity });
  const batcher = continuousBatcher({
    scheduler,
    run: (plan) => {
      steps++;
      return plan.sequences.map(({ end, yields }) => (yields ? { tokens: [end] } : undefined));
    },
  });
  const ready = () => {
    isReady = true;
  };
  return { batcher, ready, asked: () => asked, steps: () => steps };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a batcher that can do nothing', () => {
  it('asks nobody until it is woken', async () => {
    const { batcher, ready, asked } = make();
    const stream = batcher.generate({ id: 'a', promptTokens: 2, maxTokens: 1 });
    await turns();
    const before = asked();
    await vi.advanceTimersByTimeAsync(60_000);
    await turns();
    expect(asked()).toBe(before);
    expect(vi.getTimerCount()).toBe(0);
    ready();
    batcher.wake();
    expect(await stream.next()).toEqual({ done: false, value: 2 });
  });

  it('loses no call that comes between planning and waiting', async () => {
    const { batcher, ready } = make();
    const stream = batcher.generate({ id: 'a', promptTokens: 2, maxTokens: 1 });
    // As early as it can come: in every turn until the first step was planned, and in the turn after.
    const soon = (async () => {
      for (let i = 0; i < 20; i++) await Promise.resolve();
      ready();
      batcher.wake();
    })();
    await soon;
    expect(await stream.next()).toEqual({ done: false, value: 2 });
  });

  it('is woken by the capacity itself, in the call that answers pending', async () => {
    const counts = blockCapacity({ blocks: 64, blockSize: 4 });
    let asked = 0;
    const capacity: Capacity = {
      ...counts,
      admit(...request) {
        if (asked++ > 0) return counts.admit(...request);
        queueMicrotask(() => batcher.wake());
        return 'pending';
      },
    };
    const scheduler = continuousScheduler({ maxBatchTokens: 16, maxSequences: 8, capacity });
    const batcher = continuousBatcher({ scheduler, run: (plan) => plan.sequences.map(() => ({ tokens: [1] })) });
    const stream = batcher.generate({ id: 'a', promptTokens: 2, maxTokens: 1 });
    expect(await stream.next()).toEqual({ done: false, value: 1 });
    expect(asked).toBe(2);
  });

  it('ends a request at its deadline all the same', async () => {
    const { batcher } = make();
    const stream = batcher.generate({ id: 'a', promptTokens: 2, maxTokens: 1, deadlineMs: 5000 });
    let ended: string | undefined;
    void stream.ended.then(({ reason }) => {
      ended = reason;
    });
    await turns();
    await vi.advanceTimersByTimeAsync(4999);
    await turns();
    expect(ended).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await turns();
    expect(ended).toBe('deadline');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('goes on when a request comes, ends or is read', async () => {
    const { batcher, asked } = make();
    const abort = new AbortController();
    const first = batcher.generate({ id: 'a', promptTokens: 2, maxTokens: 1 }, { signal: abort.signal });
    await turns();
    const before = asked();
    void batcher.generate({ id: 'b', promptTokens: 2, maxTokens: 1 });
    await turns();
    expect(asked()).toBeGreaterThan(before);
    abort.abort();
    expect(await first.ended).toMatchObject({ reason: 'aborted' });
  });

  it('does nothing more when it is woken while it is idle', async () => {
    const { batcher, steps } = make();
    batcher.wake();
    await turns();
    expect(steps()).toBe(0);
    await batcher.close();
    batcher.wake();
  });
});
