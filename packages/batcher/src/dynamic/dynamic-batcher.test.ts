import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { isBatcherError } from '../errors.ts';
import { packed, padded } from './collate.ts';
import { dynamicBatcher } from './dynamic-batcher.ts';
import { failed } from './item-failure.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (isBatcherError(error) ? error.code : String(error)),
  );

/** Doubles numbers, remembers the batches. */
function doubler(runMs = 0) {
  const batches: (readonly number[])[] = [];
  const run = async (items: readonly number[]) => {
    batches.push(items);
    if (runMs > 0) await sleep(runMs);
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

describe('a batch', () => {
  it('starts when it is full', async () => {
    const { batches, run } = doubler();
    const batch = dynamicBatcher({ run, maxBatchSize: 3, maxWaitMs: 1000 });
    expect(await Promise.all([1, 2, 3].map((item) => batch(item)))).toEqual([2, 4, 6]);
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('starts when its oldest item has waited long enough', async () => {
    const { batches, run } = doubler();
    const batch = dynamicBatcher({ run, maxBatchSize: 8, maxWaitMs: 50 });
    const first = batch(1);
    await vi.advanceTimersByTimeAsync(30);
    const second = batch(2);
    await vi.advanceTimersByTimeAsync(19);
    expect(batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(batches).toEqual([[1, 2]]);
    expect(await Promise.all([first, second])).toEqual([2, 4]);
  });

  it('takes what there is when a runner is free, if nobody is to wait', async () => {
    const { batches, run } = doubler(10);
    const batch = dynamicBatcher({ run, maxBatchSize: 4, maxWaitMs: 0 });
    const answers = [batch(1)];
    await vi.advanceTimersByTimeAsync(1);
    for (const item of [2, 3, 4]) answers.push(batch(item));
    await vi.advanceTimersByTimeAsync(20);
    expect(batches).toEqual([[1], [2, 3, 4]]);
    expect(await Promise.all(answers)).toEqual([2, 4, 6, 8]);
  });

  it('holds only what can go together', async () => {
    const { batches, run } = doubler();
    const keyOf = (item: number) => (item % 2 ? 'odd' : 'even');
    const batch = dynamicBatcher({ run, maxBatchSize: 2, maxWaitMs: 10, keyOf });
    const answers = [1, 2, 3, 4, 5].map((item) => batch(item));
    await vi.advanceTimersByTimeAsync(10);
    await Promise.all(answers);
    expect(batches).toEqual([[1, 3], [2, 4], [5]]);
  });

  it('costs no more than it may', async () => {
    const { batches, run } = doubler();
    const batch = dynamicBatcher({
      run,
      maxBatchSize: 8,
      maxWaitMs: 10,
      costOf: (item: number) => item,
      maxBatchCost: 10,
    });
    const answers = [6, 3, 4, 1].map((item) => batch(item));
    expect(await code(batch(11))).toBe('ERR_TOO_LARGE');
    for (const refused of [batch(Number.NaN), batch(1, { priority: Number.NaN }), batch(1, { deadlineMs: Number.NaN })])
      expect(await code(refused)).toBe('ERR_ARGUMENT');
    await vi.advanceTimersByTimeAsync(10);
    await Promise.all(answers);
    expect(batches).toEqual([
      [6, 3],
      [4, 1],
    ]);
  });

  it('is due by the cost of what waits, not of what has left', async () => {
    const { batches, run } = doubler();
    const costOf = (item: number) => item;
    const batch = dynamicBatcher({ run, maxBatchSize: 8, maxWaitMs: 50, costOf, maxBatchCost: 10 });
    const answers = [6, 3, 4].map((item) => batch(item));
    await vi.advanceTimersByTimeAsync(49);
    expect(batches).toEqual([[6, 3]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(batches).toEqual([[6, 3], [4]]);
    expect(await Promise.all(answers)).toEqual([12, 6, 8]);
  });

  it('is waited for without a timer while all runners are busy', async () => {
    let finish = (_: number[]) => {};
    const run = () => new Promise<number[]>((resolve) => (finish = resolve));
    const batch = dynamicBatcher<number, number>({ run, maxBatchSize: 1, maxWaitMs: 10 });
    const answers = [batch(1), batch(2)];
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
    finish([1]);
    expect(await answers[0]).toBe(1);
    await vi.advanceTimersByTimeAsync(0);
    finish([2]);
    expect(await answers[1]).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('runs beside others up to the limit', async () => {
    let running = 0;
    let most = 0;
    const run = async (items: readonly number[]) => {
      most = Math.max(most, ++running);
      await sleep(10);
      running--;
      return items;
    };
    const batch = dynamicBatcher({ run, maxBatchSize: 1, maxWaitMs: 0, concurrency: 3 });
    const answers = Promise.all(Array.from({ length: 10 }, (_, i) => batch(i)));
    await vi.advanceTimersByTimeAsync(100);
    expect(await answers).toHaveLength(10);
    expect(most).toBe(3);
  });
});

describe('priorities', () => {
  it('go first, until others have waited for as long as they are worth', async () => {
    const { batches, run } = doubler(100);
    const batch = dynamicBatcher({ run, maxBatchSize: 1, maxWaitMs: 0, ageingMs: 150 });
    const answers = [batch(0)];
    await vi.advanceTimersByTimeAsync(1);
    answers.push(batch(1), batch(2, { priority: 1 }));
    for (let i = 0; i < 5; i++) {
      await vi.advanceTimersByTimeAsync(100);
      answers.push(batch(10 + i, { priority: 1 }));
    }
    await vi.advanceTimersByTimeAsync(1000);
    await Promise.all(answers);
    // 1 came at 1 ms and is worth as much as a priority of 1 that comes at 151 ms.
    expect(batches.flat()).toEqual([0, 2, 10, 1, 11, 12, 13, 14]);
  });

  it('are strict if waiting is worth nothing', async () => {
    const { batches, run } = doubler(10);
    const batch = dynamicBatcher({ run, maxBatchSize: 1, maxWaitMs: 0, ageingMs: Number.POSITIVE_INFINITY });
    const answers = [batch(0), batch(1), batch(2, { priority: 2 }), batch(3, { priority: 1 })];
    await vi.advanceTimersByTimeAsync(100);
    await Promise.all(answers);
    expect(batches.flat()).toEqual([2, 3, 0, 1]);
  });
});

describe('an item', () => {
  it('fails alone if it is said to, and with its batch if run throws', async () => {
    const run = async (items: readonly number[]) => {
      if (items.includes(13)) throw new Error('unlucky');
      return items.map((item) => (item < 0 ? failed(new RangeError(`${item}`)) : item));
    };
    const batch = dynamicBatcher<number, number>({ run, maxBatchSize: 2, maxWaitMs: 0 });
    const settled = await Promise.allSettled([1, -1, 13, 2].map((item) => batch(item)));
    expect(settled.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason)))).toEqual([
      1,
      'RangeError: -1',
      'Error: unlucky',
      'Error: unlucky',
    ]);
  });

  it('fails if run does not answer one result per item', async () => {
    const batch = dynamicBatcher<number, number>({ run: async () => [1], maxBatchSize: 2, maxWaitMs: 0 });
    expect(await Promise.all([batch(1), batch(2)].map(code))).toEqual(['ERR_RUN', 'ERR_RUN']);
  });

  it('is given up at once when its signal aborts, waiting or running', async () => {
    let runSignal: AbortSignal | undefined;
    const batch = dynamicBatcher<number, number>({
      run: async (items, { signal }) => {
        runSignal = signal;
        await sleep(100);
        return items;
      },
      maxBatchSize: 2,
      maxWaitMs: 0,
    });
    const controllers = [0, 1, 2].map(() => new AbortController());
    const answers = controllers.map(({ signal }, i) => batch(i, { signal }).catch((error: unknown) => String(error)));
    await vi.advanceTimersByTimeAsync(1);
    controllers[2]!.abort('waiting');
    controllers[0]!.abort('running');
    expect(await Promise.all([answers[0], answers[2]])).toEqual(['running', 'waiting']);
    expect(runSignal?.aborted).toBe(false);
    controllers[1]!.abort('last');
    expect(runSignal?.aborted).toBe(true);
    expect(await answers[1]).toBe('last');
    expect(await batch(9, { signal: AbortSignal.abort('before') }).catch(String)).toBe('before');
  });

  it('is given up at its deadline', async () => {
    const { run } = doubler(100);
    const batch = dynamicBatcher({ run, maxBatchSize: 1, maxWaitMs: 0 });
    const answers = [code(batch(1)), code(batch(2, { deadlineMs: 50 })), code(batch(3, { deadlineMs: 500 }))];
    await vi.advanceTimersByTimeAsync(400);
    expect(await Promise.all(answers)).toEqual(['no error', 'ERR_DEADLINE', 'no error']);
  });
});

describe('nothing is lost, mixed up or too much', () => {
  const item = fc.record({
    value: fc.nat(1000),
    key: fc.constantFrom('a', 'b', 'c'),
    cost: fc.integer({ min: 1, max: 9 }),
    priority: fc.integer({ min: -1, max: 2 }),
    pauseMs: fc.constantFrom(0, 0, 0, 1, 7, 40),
    fate: fc.constantFrom('answer', 'answer', 'answer', 'fail', 'abort', 'deadline'),
  });
  const settings = fc.record({
    maxBatchSize: fc.integer({ min: 1, max: 6 }),
    maxBatchCost: fc.integer({ min: 9, max: 30 }),
    maxWaitMs: fc.constantFrom(0, 5, 50),
    concurrency: fc.integer({ min: 1, max: 3 }),
    runMs: fc.constantFrom(0, 3, 30),
  });

  it('whatever comes when', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.array(item, { maxLength: 60 }), async ({ runMs, ...limits }, items) => {
        let running = 0;
        const batch = dynamicBatcher<(typeof items)[number], string>({
          ...limits,
          keyOf: ({ key }) => key,
          costOf: ({ cost }) => cost,
          run: async (list) => {
            expect(++running).toBeLessThanOrEqual(limits.concurrency);
            expect(list.length).toBeLessThanOrEqual(limits.maxBatchSize);
            expect(list.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(limits.maxBatchCost);
            expect(new Set(list.map(({ key }) => key)).size).toBe(1);
            await sleep(runMs);
            running--;
            return list.map(({ value, key, fate }) => (fate === 'fail' ? failed(value) : `${key}${value}`));
          },
        });
        const outcomes: Promise<unknown>[] = [];
        for (const one of items) {
          const controller = new AbortController();
          const options = {
            priority: one.priority,
            ...(one.fate === 'abort' && { signal: controller.signal }),
            ...(one.fate === 'deadline' && { deadlineMs: 10 }),
          };
          outcomes.push(batch(one, options).catch((error: unknown) => (isBatcherError(error) ? error.code : error)));
          await vi.advanceTimersByTimeAsync(one.pauseMs);
          controller.abort('aborted');
        }
        const closed = batch.close();
        await vi.advanceTimersByTimeAsync(5000);
        await closed;
        const settled = await Promise.all(outcomes);
        for (const [i, { value, key, fate }] of items.entries()) {
          const answers: Record<string, unknown[]> = {
            answer: [`${key}${value}`],
            fail: [value],
            abort: [`${key}${value}`, 'aborted'],
            deadline: [`${key}${value}`, 'ERR_DEADLINE'],
          };
          expect(answers[fate]).toContain(settled[i]);
        }
        const { answered, failed: failures, aborted, deadline, waiting } = batch.figures().items;
        expect([answered + failures + aborted + deadline, waiting, batch.figures().running]).toEqual([
          items.length,
          0,
          0,
        ]);
        expect(vi.getTimerCount()).toBe(0);
      }),
      runs(100),
    );
  });
});

it('functions that throw reject their item', async () => {
  const keyOf = () => {
    throw new Error('no key');
  };
  const batch = dynamicBatcher<number, number>({ run: async (items) => items, maxBatchSize: 1, maxWaitMs: 0, keyOf });
  expect(await batch(1).catch(String)).toBe('Error: no key');
});

describe('draining and closing', () => {
  it('lose nothing and do not wait for full batches', async () => {
    const { batches, run } = doubler(10);
    const batch = dynamicBatcher({ run, maxBatchSize: 4, maxWaitMs: 60_000 });
    const answers = [1, 2, 3, 4, 5].map((item) => batch(item));
    const drained = batch.drain();
    await vi.advanceTimersByTimeAsync(20);
    await drained;
    expect(batches).toEqual([[1, 2, 3, 4], [5]]);
    expect(await Promise.all(answers)).toHaveLength(5);
    const last = batch(6);
    const closed = batch.close();
    expect(await code(batch(7))).toBe('ERR_CLOSED');
    await vi.advanceTimersByTimeAsync(10);
    await closed;
    expect(await last).toBe(12);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('wait for batches that nobody wants any more', async () => {
    let ended = false;
    const batch = dynamicBatcher<number, number>({
      run: async (items) => {
        await sleep(50);
        ended = true;
        return items;
      },
      maxBatchSize: 1,
      maxWaitMs: 0,
    });
    const answer = code(batch(1, { deadlineMs: 10 }));
    await vi.advanceTimersByTimeAsync(20);
    expect(await answer).toBe('ERR_DEADLINE');
    const closed = batch.close().then(() => ended);
    await vi.advanceTimersByTimeAsync(50);
    expect(await closed).toBe(true);
  });
});

describe('figures', () => {
  it('say how it went', async () => {
    const { run } = doubler(20);
    const batch = dynamicBatcher({ run, maxBatchSize: 4, maxWaitMs: 10 });
    const answers = Array.from({ length: 10 }, (_, i) => batch(i));
    await vi.advanceTimersByTimeAsync(100);
    await Promise.all(answers);
    const figures = batch.figures();
    expect(figures.batches).toBe(3);
    expect(figures.items).toMatchObject({ answered: 10, failed: 0 });
    expect(figures.batchSize).toMatchObject({ min: 2, max: 4 });
    expect(figures.runMs.mean).toBeCloseTo(20);
    expect(figures.waitMs.max).toBeCloseTo(40);
    expect(figures.latencyMs.p50).toBeGreaterThan(35);
    expect(figures.answeredPerSecond).toBeCloseTo(100);
  });
});

describe('collating', () => {
  const rows = [[5, 6, 7], [8], []];

  it('pads right or left, with a mask', () => {
    const right = padded<number[]>({ tokensOf: (row) => row, padToken: 9, multipleOf: 4 })(rows);
    expect(right).toMatchObject({ rows: 3, columns: 4 });
    expect([...right.tokens]).toEqual([5, 6, 7, 9, 8, 9, 9, 9, 9, 9, 9, 9]);
    expect([...right.mask]).toEqual([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect([...right.lengths]).toEqual([3, 1, 0]);
    const left = padded<number[]>({ tokensOf: (row) => row, side: 'left' })(rows);
    expect([...left.tokens]).toEqual([5, 6, 7, 0, 0, 8, 0, 0, 0]);
    expect([...left.mask]).toEqual([1, 1, 1, 0, 0, 1, 0, 0, 0]);
  });

  it('packs without padding', () => {
    const batch = packed<number[]>({ tokensOf: (row) => row })(rows);
    expect([...batch.tokens]).toEqual([5, 6, 7, 8]);
    expect([...batch.positions]).toEqual([0, 1, 2, 0]);
    expect([...batch.segments]).toEqual([0, 0, 0, 1]);
    expect([...batch.offsets]).toEqual([0, 3, 4, 4]);
  });

  it('hands its batch to run', async () => {
    const batch = dynamicBatcher({
      run: async ({ lengths }) => [...lengths],
      collate: padded<number[]>({ tokensOf: (row) => row }),
      maxBatchSize: 3,
      maxWaitMs: 0,
    });
    expect(await Promise.all(rows.map((row) => batch(row)))).toEqual([3, 1, 0]);
  });
});
