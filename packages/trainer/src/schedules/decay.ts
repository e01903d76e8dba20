import { ArgumentError, checkOptions } from '@heddle/tensor';
import { type Schedule, shareDone, wholeSteps } from './schedule.ts';

/** A value that falls (or rises) from one number to another. */
export interface DecayScheduleOptions {
  /** The value at step 0. */
  readonly from: number;
  /** The value from step `steps` on; 0 where not named. */
  readonly to?: number;
  readonly steps: number;
}

/** A straight line from `from` to `to`, as PyTorch's `LinearLR`. @throws ArgumentError where the steps are no whole number */
export function linearSchedule(options: DecayScheduleOptions): Schedule {
  checkOptions('linearSchedule', options, { from: 'finite', to: 'finite?', steps: 'number' });
  const { from, to = 0, steps } = options;
  wholeSteps('linearSchedule', { steps });
  return (step) => (steps === 0 ? to : from + (to - from) * shareDone(step, 0, steps));
}

/** Half a cosine from `from` to `to`, as PyTorch's `CosineAnnealingLR`. @throws ArgumentError where the steps are no whole number */
export function cosineSchedule(options: DecayScheduleOptions): Schedule {
  checkOptions('cosineSchedule', options, { from: 'finite', to: 'finite?', steps: 'number' });
  const { from, to = 0, steps } = options;
  wholeSteps('cosineSchedule', { steps });
  return (step) => (steps === 0 ? to : cosine(from, to, shareDone(step, 0, steps)));
}

/** Half a cosine from `from` to `to`, of which `share` is done. */
export function cosine(from: number, to: number, share: number): number {
  return to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * share));
}

/** Options of `warmupCosineSchedule`. */
export interface WarmupCosineOptions {
  /** The highest value, reached at the last step of the warm-up. */
  readonly peak: number;
  /** Steps of linear warm-up: step `s` of them has `peak * (s + 1) / warmupSteps`. */
  readonly warmupSteps: number;
  /** The step from which on the value is `final`. */
  readonly totalSteps: number;
  /** The lowest value, 0 where none is named. */
  readonly final?: number;
}

/**
 * Linear warm-up to `peak`, then half a cosine from `peak` down to `final`.
 * @throws ArgumentError where the steps are no whole numbers, or the warm-up takes them all
 */
export function warmupCosineSchedule(options: WarmupCosineOptions): Schedule {
  checkOptions('warmupCosineSchedule', options, {
    peak: 'finite',
    warmupSteps: 'number',
    totalSteps: 'number',
    final: 'finite?',
  });
  const { peak, warmupSteps, totalSteps, final = 0 } = options;
  wholeSteps('warmupCosineSchedule', { warmupSteps, totalSteps });
  if (totalSteps <= warmupSteps)
    throw new ArgumentError(
      `warmupCosineSchedule: takes whole numbers of steps, totalSteps above warmupSteps, got ${totalSteps} and ${warmupSteps}`,
    );
  return (step) => {
    if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
    return cosine(peak, final, shareDone(step, warmupSteps, totalSteps));
  };
}
