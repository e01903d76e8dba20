import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { dynamicBatcher } from './dynamic-batcher.ts';

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (isBatcherError(error) ? error.code : String(error)),
  );

/** Doubles numbers, remembers the batches. */
function doubler() {
  const batches: (readonly number[])[] = [];
  const run = async (items: readonly number[]) => {
    batches.push(items);
    return items.map((item) => item * 2);
  };
  return { batches, run };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('nobody who waits', () => {
  it('leaves no timer behind: the last item is given up, by its signal', async () => {
    const batch = dynamicBatcher({ run: doubler().run, maxBatchSize: 8, maxWaitMs: 60_000 });
    const abort = new AbortController();
    const answers = [1, 2].map((item) => batch(item, { signal: abort.signal }));
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(1);
    abort.abort(new Error('changed my mind'));
    for (const answer of answers) await expect(answer).rejects.toThrow('changed my mind');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('leaves no timer behind: the last item comes to its deadline', async () => {
    const batch = dynamicBatcher({ run: doubler().run, maxBatchSize: 8, maxWaitMs: 60_000 });
    const answer = code(batch(1, { deadlineMs: 20 }));
    await vi.advanceTimersByTimeAsync(20);
    expect(await answer).toBe('ERR_DEADLINE');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('still has a timer for those who are left', async () => {
    const { batches, run } = doubler();
    const batch = dynamicBatcher({ run, maxBatchSize: 8, maxWaitMs: 100 });
    const abort = new AbortController();
    const first = code(batch(1, { signal: abort.signal }));
    await vi.advanceTimersByTimeAsync(50);
    const second = batch(2);
    abort.abort();
    await first;
    await vi.advanceTimersByTimeAsync(99);
    expect(batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await second).toBe(4);
  });
});

describe('what run answers', () => {
  it.each([
    ['undefined', undefined, 'got undefined'],
    ['a number', 3, 'got 3'],
    ['an object', { answers: [1] }, 'got an object with answers'],
    ['too few', [], 'got 0 results'],
    ['too many', [1, 2], 'got 2 results'],
  ])('is refused by name where it is %s', async (_what, answer, got) => {
    const batch = dynamicBatcher({
      maxBatchSize: 1,
      maxWaitMs: 0,
      run: async (_: readonly number[]) => answer as never,
    });
    const error: unknown = await batch(1).catch((reason: unknown) => reason);
    expect(isBatcherError(error, 'ERR_RUN')).toBe(true);
    expect(String(error)).toContain(`run must answer one result per item, expected 1, ${got}`);
  });
});
