import { describe, expect, test } from 'vitest';
import { needSharedJson } from '../../../../test-support/shared.ts';
import { cosineSchedule, linearSchedule, warmupCosineSchedule } from './decay.ts';
import { oneCycleSchedule } from './one-cycle.ts';
import { constantSchedule } from './schedule.ts';
import { warmUp } from './warm-up.ts';
import { warmupStableDecaySchedule } from './wsd.ts';

describe('schedules', () => {
  test('constant', () => {
    const schedule = constantSchedule(3e-4);
    expect([0, 7, 1e6].map(schedule)).toEqual([3e-4, 3e-4, 3e-4]);
  });

  test('warm-up rises linearly to the peak, the cosine falls to the end and stays there', () => {
    const schedule = warmupCosineSchedule({ peak: 2, warmupSteps: 4, totalSteps: 8, final: 1 });
    expect([0, 1, 2, 3, 4].map(schedule)).toEqual([0.5, 1, 1.5, 2, 2]);
    expect(schedule(5)).toBeCloseTo(1.5 + Math.SQRT1_2 / 2, 12);
    expect(schedule(6)).toBeCloseTo(1.5, 12);
    expect([8, 9, 1000].map(schedule)).toEqual([1, 1, 1]);
  });

  test('without warm-up it starts at the peak, without an end at zero', () => {
    const schedule = warmupCosineSchedule({ peak: 1, warmupSteps: 0, totalSteps: 10 });
    expect(schedule(0)).toBe(1);
    expect(schedule(10)).toBe(0);
  });

  const rounded = (schedule: (step: number) => number, steps: readonly number[]) =>
    steps.map((step) => Number(schedule(step).toFixed(9)));

  test('linear and cosine go from one value to another and stay there', () => {
    expect(rounded(linearSchedule({ from: 4, to: 2, steps: 4 }), [0, 1, 2, 4, 9])).toEqual([4, 3.5, 3, 2, 2]);
    expect(rounded(cosineSchedule({ from: 4, steps: 4 }), [0, 2, 4, 9])).toEqual([4, 2, 0, 0]);
    expect(linearSchedule({ from: 4, to: 2, steps: 0 })(0)).toBe(2);
  });

  test('a warm-up goes in front of any of them', () => {
    const schedule = warmUp(2, linearSchedule({ from: 4, steps: 4 }));
    expect(rounded(schedule, [0, 1, 2, 3, 6, 9])).toEqual([2, 4, 4, 3, 0, 0]);
    expect(rounded(warmUp(0, constantSchedule(3)), [0, 5])).toEqual([3, 3]);
  });

  test('warm-up, plateau, decay', () => {
    const steps = { peak: 8, warmupSteps: 2, stableSteps: 3, decaySteps: 4 };
    const at = [0, 1, 2, 5, 6, 9, 20];
    expect(rounded(warmupStableDecaySchedule(steps), at)).toEqual([4, 8, 8, 8, 6, 0, 0]);
    expect(rounded(warmupStableDecaySchedule({ ...steps, decay: 'sqrt' }), at)).toEqual([4, 8, 8, 8, 4, 0, 0]);
    expect(warmupStableDecaySchedule({ ...steps, decay: 'cosine', final: 2 })(7)).toBeCloseTo(5, 12);
    // without decay the last step of the plateau is followed by the end
    expect(rounded(warmupStableDecaySchedule({ ...steps, decaySteps: 0, final: 3 }), [4, 5, 6])).toEqual(
      [4, 5, 6].map((step) => (step < steps.warmupSteps + steps.stableSteps ? steps.peak : 3)),
    );
    expect(() => warmupStableDecaySchedule({ ...steps, decay: 'none' as never })).toThrow(/decay takes/);
  });

  test('one cycle rises to its peak and falls far below where it began', () => {
    const schedule = oneCycleSchedule({ peak: 1, totalSteps: 10 });
    // the peak at 0.3 * 10 - 1, the end at 9
    const expected = [0.04, 0.52, 1, 0.950484, 0.811745, 0.611261, 0.388743, 0.188259, 0.04952, 4e-6];
    for (const [step, value] of expected.entries()) expect(schedule(step)).toBeCloseTo(value, 5);
    const linear = oneCycleSchedule({ peak: 1, totalSteps: 11, riseShare: 0.5, anneal: 'linear', startDivisor: 10 });
    expect(linear(0)).toBeCloseTo(0.1, 12);
    expect(linear(10)).toBeCloseTo(1e-5, 12);
    expect(() => oneCycleSchedule({ peak: 1, totalSteps: 1 })).toThrow(/at least 2/);
    expect(() => oneCycleSchedule({ peak: 1, totalSteps: 9, riseShare: 1 })).toThrow(/between 0 and 1/);
  });

  test('agrees with the rates of a run elsewhere', async (context) => {
    const run = (await needSharedJson(context, 'fixtures/training/stories260K-adamw100.json')) as {
      lr_per_step: number[];
    };
    const schedule = warmupCosineSchedule({ peak: 1e-3, warmupSteps: 10, totalSteps: 100, final: 1e-4 });
    run.lr_per_step.forEach((rate, step) => {
      expect(schedule(step)).toBeCloseTo(rate, 14);
    });
    expect(run.lr_per_step).toHaveLength(100);
  });

  test.each([
    { warmupSteps: 10, totalSteps: 10 },
    { warmupSteps: -1, totalSteps: 10 },
    { warmupSteps: 1.5, totalSteps: 10 },
  ])('refuses %o', (steps) => {
    expect(() => warmupCosineSchedule({ peak: 1, ...steps })).toThrow(/whole numbers of steps/);
  });
});
