import { describe, expect, test } from 'vitest';
import { needSharedJson } from '../../../test-support/shared.ts';
import { constantSchedule, warmupCosineSchedule } from './schedules.ts';

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
