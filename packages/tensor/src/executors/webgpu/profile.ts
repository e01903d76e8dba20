import { DeviceError } from '../../errors.ts';
import type { KernelTime } from '../../executor.ts';
import { bufferUsage, mapModeRead } from './gpu-flags.ts';
import type { Step } from './values.ts';

/** Runs before the one whose times are given: clocks and caches settle. */
const warmups = 3;

/**
 * GPU times of a plan's kernels, in their order, by timestamps around each.
 * @throws DeviceError where the adapter has no timestamps
 */
export async function profilePlan(
  device: GPUDevice,
  steps: readonly Step[],
  encode: (encoder: GPUCommandEncoder, queries: GPUQuerySet) => void,
): Promise<readonly KernelTime[]> {
  if (!device.features.has('timestamp-query')) throw new DeviceError('profile: this adapter has no timestamp queries');
  const count = 2 * steps.length;
  const queries = device.createQuerySet({ type: 'timestamp', count });
  const resolved = device.createBuffer({ size: 8 * count, usage: bufferUsage.queryResolve | bufferUsage.copySource });
  const mapped = device.createBuffer({ size: 8 * count, usage: bufferUsage.copyDestination | bufferUsage.mapRead });
  try {
    for (let run = 0; run <= warmups; run++) {
      const encoder = device.createCommandEncoder();
      encode(encoder, queries);
      encoder.resolveQuerySet(queries, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, mapped, 0, 8 * count);
      device.queue.submit([encoder.finish()]);
    }
    await mapped.mapAsync(mapModeRead);
    const stamps = new BigUint64Array(mapped.getMappedRange().slice(0));
    return steps.map(({ label }, i) => ({
      kernel: label,
      microseconds: Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1000,
    }));
  } finally {
    queries.destroy();
    resolved.destroy();
    mapped.destroy();
  }
}
