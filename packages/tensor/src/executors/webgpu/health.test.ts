import { expect, test } from 'vitest';
import { DeviceLostError } from '../../checks/errors.ts';
import { DeviceHealth } from './health.ts';

/** A device that says when it is lost as late as it is told to. */
function deviceLostAfter(milliseconds: number): GPUDevice {
  const lost = new Promise((resolve) => setTimeout(() => resolve({ reason: 'destroyed', message: '' }), milliseconds));
  return { lost, addEventListener: () => {} } as unknown as GPUDevice;
}

test('work that a lost device ended before it says so fails since the device was lost', async () => {
  const health = new DeviceHealth(deviceLostAfter(20), true);
  const aborted = Promise.reject(new Error('Buffer was unmapped before mapping was resolved.'));
  await expect(health.orFailure(aborted)).rejects.toBeInstanceOf(DeviceLostError);
});

test('work that failed on a device that works fails as it did', async () => {
  const health = new DeviceHealth(deviceLostAfter(5_000), true);
  await expect(health.orFailure(Promise.reject(new Error('of its own')))).rejects.toThrow('of its own');
  expect(await health.orFailure(Promise.resolve(3))).toBe(3);
});
