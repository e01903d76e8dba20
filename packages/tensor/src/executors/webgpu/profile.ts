import { DeviceError } from '../../checks/errors.ts';
import { bufferUsage, mapModeRead } from './gpu-flags.ts';

/** Runs of which the time is taken by the host. */
const trials = 3;
/** Milliseconds of work in front of the run whose times are given: clocks fall while a GPU waits for the host. */
const settling = 20;
const maxRuns = 64;

/**
 * GPU microseconds of the `count` passes that `encode` records, by timestamps `2 i` and `2 i + 1` around pass i.
 * @throws DeviceError where the adapter has no timestamps
 */
export async function profilePlan(
  device: GPUDevice,
  count: number,
  encode: (encoder: GPUCommandEncoder, queries: GPUQuerySet) => void,
): Promise<readonly number[]> {
  if (!device.features.has('timestamp-query')) throw new DeviceError('profile: this adapter has no timestamp queries');
  if (count === 0) return [];
  const stamps = 2 * count;
  const queries = device.createQuerySet({ type: 'timestamp', count: stamps });
  const resolved = device.createBuffer({ size: 8 * stamps, usage: bufferUsage.queryResolve | bufferUsage.copySource });
  const mapped = device.createBuffer({ size: 8 * stamps, usage: bufferUsage.copyDestination | bufferUsage.mapRead });
  const runs = (times: number) => {
    for (let run = 0; run < times; run++) {
      const encoder = device.createCommandEncoder();
      encode(encoder, queries);
      encoder.resolveQuerySet(queries, 0, stamps, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, mapped, 0, 8 * stamps);
      device.queue.submit([encoder.finish()]);
    }
  };
  try {
    const begin = performance.now();
    runs(trials);
    await device.queue.onSubmittedWorkDone();
    const one = (performance.now() - begin) / trials;
    runs(Math.min(maxRuns, Math.ceil(settling / one)) + 1);
    await mapped.mapAsync(mapModeRead);
    const times = new BigUint64Array(mapped.getMappedRange().slice(0));
    return Array.from({ length: count }, (_, i) => Number(times[2 * i + 1]! - times[2 * i]!) / 1000);
  } finally {
    queries.destroy();
    resolved.destroy();
    mapped.destroy();
  }
}
