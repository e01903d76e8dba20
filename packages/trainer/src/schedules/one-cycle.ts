import { ArgumentError, checkOptions } from '@heddle/tensor';
import { cosine } from './decay.ts';
import { type Schedule, shareDone, wholeSteps } from './schedule.ts';

/** Options of `oneCycleSchedule`. */
export interface OneCycleOptions {
  /** The highest value. */
  readonly peak: number;
  /** Steps of the whole cycle; the last is `totalSteps - 1`. */
  readonly totalSteps: number;
  /** The part of the steps in which the value rises; 0.3 where not named. */
  readonly riseShare?: number;
  /** The value at step 0 is `peak / startDivisor`; 25 where not named. */
  readonly startDivisor?: number;
  /** The value at the last step is that at step 0 divided by this; 1e4 where not named. */
  readonly finalDivisor?: number;
  /** How the value moves; 'cosine' where not named. */
  readonly anneal?: 'cosine' | 'linear';
}

/**
 * Up to a peak and far down again, as PyTorch's `OneCycleLR` (two phases). Source: https://arxiv.org/abs/1708.07120
 * @throws ArgumentError for fewer than two steps, a share outside of (0, 1), divisors that are not positive
 */
export function oneCycleSchedule(options: OneCycleOptions): Schedule {
  checkOptions('oneCycleSchedule', options, {
    peak: 'finite',
    totalSteps: 'number',
    riseShare: 'number?',
    startDivisor: 'number?',
    finalDivisor: 'number?',
    anneal: [undefined, 'cosine', 'linear'],
  });
  const { peak, totalSteps, riseShare = 0.3, startDivisor = 25, finalDivisor = 1e4, anneal = 'cosine' } = options;
  wholeSteps('oneCycleSchedule', { totalSteps });
  if (totalSteps < 2) throw new ArgumentError(`oneCycleSchedule: totalSteps must be at least 2, got ${totalSteps}`);
  if (!(riseShare > 0 && riseShare < 1))
    throw new ArgumentError(`oneCycleSchedule: riseShare must be between 0 and 1, got ${riseShare}`);
  for (const [option, divisor] of Object.entries({ startDivisor, finalDivisor }))
    if (!(divisor > 0)) throw new ArgumentError(`oneCycleSchedule: ${option} must be positive, got ${divisor}`);
  const [start, final] = [peak / startDivisor, peak / startDivisor / finalDivisor];
  const top = riseShare * totalSteps - 1;
  const between = (from: number, to: number, share: number) =>
    anneal === 'cosine' ? cosine(from, to, share) : from + (to - from) * share;
  return (step) =>
    step <= top
      ? between(start, peak, shareDone(step, 0, top))
      : between(peak, final, shareDone(step, Math.max(0, top), totalSteps - 1));
}
