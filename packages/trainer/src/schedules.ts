import { ArgumentError } from '@heddle/tensor';

/** A value that depends on the step alone, counted from 0. Pure: computed on the host, fed to the plan. */
export type Schedule = (step: number) => number;

/** The same value at every step. */
export function constantSchedule(value: number): Schedule {
  return () => value;
}

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
  const { peak, warmupSteps, totalSteps, final = 0 } = options;
  if (!Number.isInteger(warmupSteps) || !Number.isInteger(totalSteps) || warmupSteps < 0 || totalSteps <= warmupSteps)
    throw new ArgumentError(
      `warmupCosineSchedule: takes whole numbers of steps, totalSteps above warmupSteps, got ${totalSteps} and ${warmupSteps}`,
    );
  return (step) => {
    if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
    const done = Math.min(1, (step - warmupSteps) / (totalSteps - warmupSteps));
    return final + (peak - final) * 0.5 * (1 + Math.cos(Math.PI * done));
  };
}
