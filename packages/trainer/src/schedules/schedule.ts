import { ArgumentError, checkArguments } from '@heddle/tensor';

/** A value that depends on the step alone, counted from 0. Pure: computed on the host, fed to the plan. */
export type Schedule = (step: number) => number;

/** The same value at every step. */
export function constantSchedule(value: number): Schedule {
  checkArguments('constantSchedule', 'finite', { value });
  return () => value;
}

/** @throws ArgumentError for steps that are no whole numbers from 0 */
export function wholeSteps(name: string, steps: Readonly<Record<string, number>>): void {
  for (const [option, value] of Object.entries(steps))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new ArgumentError(`${name}: takes whole numbers of steps, got ${option} ${value}`);
}

/** The part of `from` to `to` that `step` has gone, between 0 and 1. */
export function shareDone(step: number, from: number, to: number): number {
  return to > from ? Math.min(1, Math.max(0, (step - from) / (to - from))) : 1;
}
