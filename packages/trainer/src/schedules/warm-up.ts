import { checkArguments } from '@heddle/tensor';
import { type Schedule, wholeSteps } from './schedule.ts';

/**
 * Linear warm-up in front of any schedule: step `s` of `steps` has `(s + 1) / steps` of what `then` begins with, and `then` goes
 * on from there, counting from 0.
 * @throws ArgumentError where the steps are no whole number
 */
export function warmUp(steps: number, then: Schedule): Schedule {
  wholeSteps('warmUp', { steps });
  checkArguments('warmUp', 'function', { then });
  return (step) => (step < steps ? (then(0) * (step + 1)) / steps : then(step - steps));
}
