import { describe, expect, it, vi } from 'vitest';
import { AbortWatch } from './abort-watch.ts';
import { dynamicBatcher } from './dynamic/dynamic-batcher.ts';
import { blockCapacity } from './scheduling/block-capacity.ts';
import { continuousScheduler } from './scheduling/continuous-scheduler.ts';
import { continuousBatcher } from './streaming/continuous-batcher.ts';

/** A signal that counts its listeners. */
function counted() {
  const controller = new AbortController();
  const listeners = { most: 0, now: 0 };
  const { signal } = controller;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners.most = Math.max(listeners.most, ++listeners.now);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners.now--;
    remove(...args);
  };
  return { controller, signal, listeners };
}

describe('a watch over signals', () => {
  it('calls everyone who waits, in order, with one listener', () => {
    const { controller, signal, listeners } = counted();
    const watch = new AbortWatch();
    const called: number[] = [];
    const letGo = Array.from({ length: 20 }, (_, i) => watch.watch(signal, () => called.push(i)));
    letGo[3]!();
    letGo[3]!();
    expect(listeners).toEqual({ most: 1, now: 1 });
    controller.abort();
    expect(called).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    for (const each of letGo) each();
    expect(listeners.now).toBe(0);
  });

  it('lets go of a signal when nobody waits for it, and listens again', () => {
    const { controller, signal, listeners } = counted();
    const watch = new AbortWatch();
    const action = vi.fn();
    const letGo = watch.watch(signal, action);
    letGo();
    expect(listeners.now).toBe(0);
    const [first, second] = [watch.watch(signal, action), watch.watch(signal, action)];
    letGo();
    first();
    expect(listeners.now).toBe(1);
    controller.abort();
    expect(action).toHaveBeenCalledTimes(1);
    second();
  });

  it('passes over those who let go while others are called', () => {
    const controller = new AbortController();
    const watch = new AbortWatch();
    const second = vi.fn();
    watch.watch(controller.signal, () => letGo());
    const letGo = watch.watch(controller.signal, second);
    controller.abort();
    expect(second).not.toHaveBeenCalled();
  });
});

describe('one signal for many requests', () => {
  it('has one listener of a continuous batcher, and ends all of them', async () => {
    const { controller, signal, listeners } = counted();
    const capacity = blockCapacity({ blocks: 64, blockSize: 16 });
    const batcher = continuousBatcher({
      scheduler: continuousScheduler({ maxBatchTokens: 64, maxSequences: 30, capacity }),
      run: (plan) => plan.sequences.map(({ end, yields }) => (yields ? { tokens: [end] } : undefined)),
    });
    const short = batcher.generate({ id: 'short', promptTokens: 1, maxTokens: 2 }, { signal });
    const streams = Array.from({ length: 29 }, (_, i) =>
      batcher.generate({ id: `r${i}`, promptTokens: 4, maxTokens: 20 }, { signal }),
    );
    await short.ended;
    expect(listeners).toEqual({ most: 1, now: 1 });
    controller.abort(new Error('enough'));
    const reasons = await Promise.all(streams.map((stream) => stream.next().catch((error: Error) => error.message)));
    expect(reasons).toEqual(streams.map(() => 'enough'));
    expect(await Promise.all(streams.map(async ({ ended }) => (await ended).reason))).toEqual(
      streams.map(() => 'aborted'),
    );
    expect(listeners.now).toBe(0);
    await batcher.close();
  });

  it('has one listener of a dynamic batcher, and gives all of them up', async () => {
    const { controller, signal, listeners } = counted();
    const batch = dynamicBatcher({
      maxBatchSize: 4,
      maxWaitMs: 0,
      run: async (items: readonly number[]) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return items;
      },
    });
    const answers = Array.from({ length: 30 }, (_, i) => batch(i, { signal }).catch(String));
    expect(await answers[0]).toBe(0);
    expect(listeners).toEqual({ most: 1, now: 1 });
    controller.abort('enough');
    expect(await Promise.all(answers.slice(8))).toEqual(Array.from({ length: 22 }, () => 'enough'));
    expect(listeners.now).toBe(0);
    await batch.close();
  });
});
