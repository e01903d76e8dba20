import type { Capacity } from '@heddle/batcher';
import type { DeviceSampling } from '../sampling/sample-plan.ts';
import type { ScheduledGeneration } from './request.ts';

/**
 * The same capacity, which also gives each open request a lane: its place in what the device keeps of every request, the token
 * that it has chosen last above all. Released with the rest, so when no step in flight has the request any more.
 * @param lanes as many as the capacity has open at once
 * @param released told of each request that is no longer admitted
 */
export function withLanes(
  capacity: Capacity<ScheduledGeneration>,
  lanes: number,
  sampling: DeviceSampling,
  released: (request: ScheduledGeneration) => void = () => {},
): Capacity<ScheduledGeneration> {
  const free = Array.from({ length: lanes }, (_, i) => lanes - 1 - i);
  return {
    ...capacity,
    admit(request, tokens, length, parent) {
      const found = capacity.admit(request, tokens, length, parent);
      if (typeof found === 'string') return found;
      request.lane = free.pop()!;
      sampling.begin?.(request.lane, request.sampler, request.stream, request.promptTokens);
      return found;
    },
    release(request, why) {
      if (request.lane >= 0) free.push(request.lane);
      request.lane = -1;
      released(request);
      capacity.release(request, why);
    },
  };
}
