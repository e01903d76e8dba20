import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RejectedError } from '../errors.ts';
import { dynamicBatcher } from './dynamic-batcher.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Doubles numbers, 100 ms a batch. */
const run = async (items: readonly number[]) => {
  await new Promise((resolve) => setTimeout(resolve, 100));
  return items.map((item) => 2 * item);
};

describe('a full queue', () => {
  it('rejects at once and says when to come back', async () => {
    const batch = dynamicBatcher({ run, maxBatchSize: 1, maxWaitMs: 0, maxQueue: 2 });
    const answers = [batch(1)];
    await vi.advanceTimersByTimeAsync(0);
    answers.push(batch(2), batch(3));
    await vi.advanceTimersByTimeAsync(201);
    answers.push(batch(4), batch(5));
    const error = await batch(6).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toMatchObject({ code: 'ERR_QUEUE_FULL', retryAfterMs: 100 });
    await vi.advanceTimersByTimeAsync(500);
    await Promise.all(answers);
    expect(batch.figures().items).toMatchObject({ answered: 5, rejected: 1, waiting: 0 });
  });

  it('is not full of what a free runner can take: a burst in one turn fills batches and queue', async () => {
    const batch = dynamicBatcher({ run, maxBatchSize: 2, maxWaitMs: 60_000, maxQueue: 2, concurrency: 2 });
    const answers = Promise.allSettled([1, 2, 3, 4, 5, 6, 7].map((item) => batch(item)));
    await vi.advanceTimersByTimeAsync(500);
    expect((await answers).map((one) => (one.status === 'fulfilled' ? one.value : 'rejected'))).toEqual([
      ...[2, 4, 6, 8, 10, 12],
      'rejected',
    ]);
    expect(batch.figures()).toMatchObject({ batches: 3, items: { answered: 6, rejected: 1 } });
  });
});
