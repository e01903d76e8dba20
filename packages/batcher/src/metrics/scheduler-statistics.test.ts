import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import { continuousScheduler } from '../scheduling/continuous-scheduler.ts';
import { observed } from '../scheduling/observe.ts';
import { RateMeter } from './rate-meter.ts';
import { schedulerStatistics } from './scheduler-statistics.ts';

describe('the figures of a scheduler', () => {
  it('are those of what happened', () => {
    let now = 1000;
    const clock = () => now;
    const capacity = blockCapacity({ blocks: 100, blockSize: 1 });
    const statistics = schedulerStatistics({ maxBatchTokens: 10, clock });
    const inner = continuousScheduler({ maxBatchTokens: 10, maxSequences: 1, maxWaiting: 2, capacity, clock });
    const scheduler = observed(inner, statistics);
    for (const id of ['a', 'b', 'c']) scheduler.add({ id, promptTokens: 15, maxTokens: 5 });
    // a: two chunks, then 5 tokens in 3 steps, for two drafts are accepted. Every step takes 10 ms.
    const drafts = [undefined, { tokens: [1], drafts: 3 }, { tokens: [2, 3, 4] }, { tokens: [5] }];
    for (const result of drafts) {
      const plan = scheduler.step();
      now += 10;
      scheduler.commit(plan, [result]);
    }
    scheduler.abort('b');
    const plan = scheduler.step();
    scheduler.discard(plan);
    scheduler.commit(scheduler.step(), []);
    const figures = statistics.figures();
    expect(figures.requests).toEqual({
      added: 2,
      rejected: 1,
      finished: { stop: 0, length: 1, aborted: 1, deadline: 0, error: 0 },
      waiting: 0,
      running: 0,
    });
    expect(figures.tokens).toMatchObject({
      computed: 10 + 5 + 4 + 1,
      generated: 5,
      drafted: 3,
      accepted: 2,
      cached: 0,
    });
    expect(figures.tokens.generatedPerSecond).toBeCloseTo(125);
    expect(figures.steps).toBe(4);
    expect(figures.stepMs).toMatchObject({ count: 4, mean: 10 });
    expect(figures.batchSize).toMatchObject({ count: 4, max: 1 });
    expect(figures.budgetUse.mean).toBeCloseTo((1 + 0.5 + 0.4 + 0.1) / 4);
    expect(figures.timeToFirstTokenMs).toMatchObject({ count: 1, mean: 20 });
    expect(figures.interTokenMs).toMatchObject({ count: 2, mean: 10 });
    expect(figures.endToEndMs).toMatchObject({ count: 1, mean: 40 });
    expect(figures.waitMs).toMatchObject({ count: 1, mean: 0 });
    expect(figures.queueLength.max).toBe(1);
    expect(figures.preemptions).toBe(0);
  });
});

describe('a rate meter', () => {
  it('counts the last ten seconds', () => {
    const meter = new RateMeter();
    expect(meter.perSecond(0)).toBe(0);
    for (let ms = 0; ms < 2000; ms += 10) meter.add(1, ms);
    expect(meter.perSecond(2000)).toBeCloseTo(100, -1);
    expect(Math.abs(meter.perSecond(9_999) - 20)).toBeLessThan(1);
    expect(meter.perSecond(100_000)).toBe(0);
    for (let ms = 100_000; ms < 120_000; ms += 10) meter.add(1, ms);
    expect(Math.abs(meter.perSecond(120_000) - 100)).toBeLessThan(6);
  });

  it('is what the events of its window say, over the time that they have come', () => {
    const event = fc.record({
      after: fc.constantFrom(0, 1, 250, 499, 500, 501, 9_500, 10_000, 25_000),
      count: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.nat(3_000), fc.array(event, { minLength: 1, maxLength: 20 }), (start, events) => {
        const meter = new RateMeter();
        const seen: { readonly at: number; readonly count: number }[] = [];
        let now = start;
        for (const { after, count } of events) {
          now += after;
          meter.add(count, now);
          seen.push({ at: now, count });
          // twenty half seconds: the one that has begun and nineteen whole ones
          const oldest = (Math.floor(now / 500) - 19) * 500;
          const sum = seen.filter(({ at }) => at >= oldest).reduce((all, one) => all + one.count, 0);
          const seconds = Math.max(500, now - Math.max(oldest, seen[0]!.at)) / 1000;
          expect(meter.perSecond(now)).toBeCloseTo(sum / seconds, 9);
        }
      }),
      runs(100),
    );
  });
});
