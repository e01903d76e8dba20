import type { Device } from '@heddle/tensor';

/**
 * Whether a kernel takes seconds to compile on this device, as on SwiftShader: tests run each kind of kernel once there, and the
 * full tables on the others.
 */
export const compilesSlowly = (device: Device): boolean => /swiftshader/i.test(device.description);

/** Why a test is left out there. */
export const slowHere = 'its kernels take long to compile here; the same kind of kernel is tested by another case';
