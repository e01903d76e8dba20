import type { Device, Tensor, WebGpuCapabilities } from '@heddle/tensor';
import type { Case } from './cases.ts';

/** Records a case of a table of operations on a device. */
export function recordCase(device: Device, row: Case): Tensor {
  if ('create' in row) return row.create(device);
  return row.f(
    ...row.inputs.map(({ shape, dtype, values }) => device.tensor(Float64Array.from(values), { shape, dtype })),
  );
}

/** What every WebGPU adapter has: with more, some kernels are others. */
export const leastCapabilities: WebGpuCapabilities = {
  shaderF16: false,
  subgroups: false,
  subgroupId: false,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  subgroupMatrices: [],
  maxWorkgroupStorageBytes: 16384,
  maxInvocations: 256,
  maxStorageBuffers: 8,
  maxBindingBytes: 2 ** 27,
};
