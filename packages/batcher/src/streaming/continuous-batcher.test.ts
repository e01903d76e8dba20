import { describe, expect, it } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { seededRandom } from '../load/random.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import type { SchedulerEvent, StepPlan } from '../scheduling/scheduler.ts';
import type { ContinuousBatcherOptions } from './batcher.ts';
import { continuousBatcher } from './continuous-batcher.ts';
import { nextTurn } from './next-turn.ts';

const positions = (plan: StepPlan) => plan.sequences.map(({ end, yields }) => (yields ? { tokens: [end] } : undefined));

function make(
  options: Partial<ContinuousBatcherOptions> & { readonly blocks?: number; readonly maxPlansInFlight?: number } = {},
) {
  const { blocks = 64, maxPlansInFlight = 1, ...rest } = options;
  const capacity = blockCapacity({ blocks, blockSize: 4 });
  const scheduler = continuousScheduler({ maxBatchTokens: 16, maxSequences: 8, capacity, maxPlansInFlight });
  const sizes: number[] = [];
  const batcher = continuousBatcher({
    scheduler,
    run: (plan) => {
      sizes.push(plan.sequences.length);
      return positions(plan);
    },
    ...rest,
  });
  return { batcher, scheduler, capacity, sizes };
}

async function collect(stream: AsyncIterable<number>): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of stream) tokens.push(token);
  return tokens;
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (isBatcherError(error) ? error.code : String(error)),
  );

describe('streams', () => {
  it('give each request its tokens, batched together', async () => {
    const { batcher, capacity, sizes } = make();
    const streams = [3, 5, 7].map((promptTokens, i) => batcher.generate({ id: `r${i}`, promptTokens, maxTokens: 4 }));
    const tokens = await Promise.all(streams.map(collect));
    expect(tokens).toEqual([
      [3, 4, 5, 6],
      [5, 6, 7, 8],
      [7, 8, 9, 10],
    ]);
    expect(sizes).toEqual([3, 3, 3, 3]);
    expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual([
      { reason: 'length', newTokens: 4 },
      { reason: 'length', newTokens: 4 },
      { reason: 'length', newTokens: 4 },
    ]);
    await batcher.drain();
    expect(capacity.free).toBe(capacity.total);
  });

  it('take requests while others run, and several times over', async () => {
    const { batcher } = make();
    expect(await collect(batcher.generate({ id: 'a', promptTokens: 1, maxTokens: 2 }))).toEqual([1, 2]);
    const late = batcher.generate({ id: 'b', promptTokens: 1, maxTokens: 30 });
    await late.next();
    const tokens = await collect(batcher.generate({ id: 'a', promptTokens: 1, maxTokens: 2 }));
    expect(tokens).toEqual([1, 2]);
    expect(await collect(late)).toHaveLength(29);
  });

  it('tell of every event, in order', async () => {
    const seen: string[] = [];
    const all: string[] = [];
    const { batcher } = make({ onEvent: ({ type }) => all.push(type) });
    const onEvent = ({ type }: SchedulerEvent) => seen.push(type);
    await collect(batcher.generate({ id: 'a', promptTokens: 20, maxTokens: 2 }, { onEvent }));
    expect(seen).toEqual(['admitted', 'firstToken', 'token', 'token', 'finished']);
    expect(all).toEqual(seen);
  });

  it('pause their own sequence while their reader lags, and no other', async () => {
    const { batcher, scheduler } = make({ highWaterMark: 4, blocks: 1000 });
    const slow = batcher.generate({ id: 'slow', promptTokens: 1, maxTokens: 100 });
    const fast = batcher.generate({ id: 'fast', promptTokens: 1, maxTokens: 100 });
    expect(await collect(fast)).toHaveLength(100);
    expect(scheduler.load).toMatchObject({ running: 1 });
    expect(await collect(slow)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it('give back the room of a paused sequence to who needs it, and lose nothing', async () => {
    const { batcher } = make({ highWaterMark: 2, blocks: 10 });
    const slow = batcher.generate({ id: 'slow', promptTokens: 20, maxTokens: 18 });
    await slow.next();
    const other = await collect(batcher.generate({ id: 'other', promptTokens: 30, maxTokens: 5 }));
    expect(other).toEqual([30, 31, 32, 33, 34]);
    expect(await collect(slow)).toEqual(Array.from({ length: 17 }, (_, i) => 21 + i));
  });

  it('end with the reason of a signal, and free their room within one step', async () => {
    let abortAt = 3;
    const controller = new AbortController();
    const { batcher, capacity } = make({
      run: (plan) => {
        if (abortAt-- === 0) controller.abort(new Error('enough'));
        return positions(plan);
      },
    });
    const { signal } = controller;
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 100 }, { signal });
    await expect(collect(stream)).rejects.toThrow('enough');
    expect(await stream.ended).toMatchObject({ reason: 'aborted' });
    expect(capacity.free).toBe(capacity.total);
    expect(() => batcher.generate({ id: 'b', promptTokens: 4, maxTokens: 1 }, { signal })).toThrow('enough');
  });

  it('abort their request when the reader leaves the loop', async () => {
    const { batcher, capacity } = make({ blocks: 1000 });
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 1000 });
    for await (const token of stream) if (token === 6) break;
    const { reason, newTokens } = await stream.ended;
    expect(reason).toBe('aborted');
    expect(newTokens).toBeLessThan(10);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    await batcher.drain();
    expect(capacity.free).toBe(capacity.total);
  });

  it('end by a deadline with what there is, then ERR_DEADLINE', async () => {
    const slowly = async (plan: StepPlan) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return positions(plan);
    };
    const { batcher } = make({ run: slowly, blocks: 10_000 });
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 10_000, deadlineMs: 500 });
    expect(await stream.next()).toEqual({ done: false, value: 4 });
    expect(await code(collect(stream))).toBe('ERR_DEADLINE');
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('end at their deadline even while their reader keeps them paused', async () => {
    const { batcher } = make({ highWaterMark: 1 });
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 50, deadlineMs: 50 });
    expect(await stream.ended).toMatchObject({ reason: 'deadline' });
  });

  it('refuse at once what the scheduler refuses', () => {
    const { batcher } = make();
    const refused = (run: () => unknown) => {
      try {
        run();
        return 'no error';
      } catch (error) {
        return isBatcherError(error) ? error.code : String(error);
      }
    };
    expect(refused(() => batcher.generate({ id: 'a', promptTokens: 1000, maxTokens: 1 }))).toBe('ERR_TOO_LARGE');
    batcher.generate({ id: 'a', promptTokens: 1, maxTokens: 1 });
    expect(refused(() => batcher.generate({ id: 'a', promptTokens: 1, maxTokens: 1 }))).toBe('ERR_DUPLICATE_ID');
    batcher.close();
    expect(refused(() => batcher.generate({ id: 'b', promptTokens: 1, maxTokens: 1 }))).toBe('ERR_CLOSED');
  });
});

describe('what goes wrong in a step', () => {
  it('fails the sequences of the step, and the batcher goes on', async () => {
    let fail = true;
    const { batcher, capacity } = make({
      run: (plan) => {
        if (!fail) return positions(plan);
        fail = false;
        throw new Error('device lost');
      },
    });
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 5 });
    await expect(collect(stream)).rejects.toThrow('device lost');
    expect(await collect(batcher.generate({ id: 'b', promptTokens: 4, maxTokens: 2 }))).toEqual([4, 5]);
    await batcher.drain();
    expect(capacity.free).toBe(capacity.total);
  });

  it('is an error of run if the results do not fit', async () => {
    const { batcher } = make({ run: () => [] });
    expect(await code(collect(batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 5 })))).toBe('ERR_PROTOCOL');
  });

  it('leaves nobody waiting if an observer throws', async () => {
    const { batcher } = make({
      onEvent: ({ type }) => {
        if (type === 'token') throw new Error('observer');
      },
    });
    await expect(collect(batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 5 }))).rejects.toThrow('observer');
    await batcher.close();
  });

  it('aborts a request whose own observer throws', async () => {
    const { batcher } = make();
    const onEvent = () => {
      throw new Error('mine');
    };
    const other = collect(batcher.generate({ id: 'b', promptTokens: 4, maxTokens: 5 }));
    await expect(collect(batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 5 }, { onEvent }))).rejects.toThrow(
      'mine',
    );
    expect(await other).toHaveLength(5);
  });
});

describe('several plans in flight', () => {
  it('give the same tokens, and drop what was planned past the end', async () => {
    let underWay = 0;
    let most = 0;
    const { batcher, capacity } = make({
      plansInFlight: 2,
      maxPlansInFlight: 2,
      run: async (plan) => {
        most = Math.max(most, ++underWay);
        await nextTurn();
        underWay--;
        return plan.sequences.map(({ end, yields }) => {
          if (!yields) return undefined;
          return end === 9 ? { tokens: [end], finish: 'stop' } : { tokens: [end] };
        });
      },
    });
    const streams = [3, 5].map((promptTokens, i) => batcher.generate({ id: `r${i}`, promptTokens, maxTokens: 40 }));
    expect(await Promise.all(streams.map(collect))).toEqual([
      [3, 4, 5, 6, 7, 8, 9],
      [5, 6, 7, 8, 9],
    ]);
    await batcher.drain();
    expect(most).toBe(2);
    expect(capacity.free).toBe(capacity.total);
  });
});

describe('closing', () => {
  it('drains what is there', async () => {
    const { batcher } = make();
    const tokens = collect(batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 5 }));
    await batcher.close();
    expect(await tokens).toHaveLength(5);
    await batcher[Symbol.asyncDispose]();
  });

  it('ends what is there if told to', async () => {
    const { batcher, capacity } = make({ highWaterMark: 1 });
    const stream = batcher.generate({ id: 'a', promptTokens: 4, maxTokens: 50 });
    await stream.next();
    await batcher.close({ abort: true });
    expect(await code(collect(stream))).toBe('ERR_CLOSED');
    expect(capacity.free).toBe(capacity.total);
  });
});

describe('10,000 aborts at random points', () => {
  it('settle every promise and give back all room', async () => {
    const random = seededRandom(7);
    const { batcher, capacity, scheduler } = make({ blocks: 200, highWaterMark: 8 });
    const ends: Promise<string>[] = [];
    const one = async (i: number): Promise<void> => {
      const controller = new AbortController();
      const request = { id: `r${i}`, promptTokens: 1 + Math.floor(random() * 30), maxTokens: 200 };
      const stream = batcher.generate(request, { signal: controller.signal });
      ends.push(stream.ended.then(({ reason }) => reason));
      const tokensToRead = Math.floor(random() * 4);
      const leave = random() < 0.5;
      const abortLater = random() < 0.7;
      if (abortLater) {
        const turns = Math.floor(random() * 6);
        void (async () => {
          for (let turn = 0; turn < turns; turn++) await nextTurn();
          controller.abort();
        })();
      }
      let read = 0;
      try {
        for await (const _ of stream) if (leave && read++ >= tokensToRead) break;
      } catch (error) {
        if (!controller.signal.aborted) throw error;
      }
      controller.abort();
    };
    let next = 0;
    const caller = async () => {
      while (next < 10_000) await one(next++);
    };
    await Promise.all(Array.from({ length: 64 }, caller));
    const reasons = await Promise.all(ends);
    await batcher.close();
    expect(reasons).toHaveLength(10_000);
    expect(reasons.filter((reason) => reason === 'aborted').length).toBeGreaterThan(8000);
    expect(capacity.free).toBe(capacity.total);
    expect(scheduler.idle).toBe(true);
  }, 60_000);
});
