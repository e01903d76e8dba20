import type { Dim } from '../../../dim.ts';
import type { Step } from '../values.ts';
import { workAt } from './work.ts';

/** What a fast device does in a microsecond: on a slower one a part takes longer, and is worth its submission all the more. */
const [flopsPerMicrosecond, bytesPerMicrosecond] = [2.5e8, 3e6];
/** Microseconds of a part, three times what a submission takes a host. */
const partMicroseconds = 500;

/**
 * By step: whether what is before it should be submitted first, so that the device begins while the host still records. Only what
 * keeps a device busy for longer than a submission takes the host is worth one.
 */
export function beginsOfParts(steps: readonly Step[], bound: (dim: Dim) => number): boolean[] {
  const costs = steps.map((step) => {
    const { flops = 0, bytes } = workAt(step, bound);
    return Math.max(flops / flopsPerMicrosecond, bytes / bytesPerMicrosecond);
  });
  let left = costs.reduce((sum, cost) => sum + cost, 0);
  let part = 0;
  return costs.map((cost) => {
    const begins = part >= partMicroseconds && left >= partMicroseconds;
    part = begins ? cost : part + cost;
    left -= cost;
    return begins;
  });
}
