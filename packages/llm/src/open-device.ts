import { ArgumentError, type Device, DeviceError, isHeddleError } from '@heddle/tensor';
import { openOnnx } from '@heddle/tensor/onnx';
import { openReference } from '@heddle/tensor/reference';
import { openWebGpu, type WebGpuOptions } from '@heddle/tensor/webgpu';
import { checkOptions } from './check-options.ts';

export const deviceNames = ['auto', 'webgpu', 'onnx', 'reference'] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface OpenDeviceOptions {
  /** The most bytes that the device will hold. */
  readonly memoryBudget?: number;
  /** How WebGPU is opened, where it is. */
  readonly webgpu?: WebGpuOptions;
}

/**
 * Opens a device by name. 'auto' is the best there is: a GPU through WebGPU (an adapter that only emulates one is passed
 * over), otherwise ONNX Runtime on the CPU. Owned by the caller.
 * @throws DeviceError where there is none, saying what was tried and what to install
 */
export async function openDevice(name: DeviceName = 'auto', options: OpenDeviceOptions = {}): Promise<Device> {
  checkOptions('openDevice', options, ['memoryBudget', 'webgpu']);
  const { memoryBudget } = options;
  const budget = memoryBudget === undefined ? {} : { memoryBudget };
  switch (name) {
    case 'reference':
      return openReference(budget);
    case 'onnx':
      return openOnnx(budget);
    case 'webgpu':
      return openWebGpu({ ...budget, ...options.webgpu });
    case 'auto':
      return openBest(budget, options.webgpu);
    default:
      throw new ArgumentError(`openDevice: takes ${deviceNames.join(', ')}, got ${String(name)}`);
  }
}

async function openBest(
  budget: { readonly memoryBudget?: number },
  webgpu: WebGpuOptions | undefined,
): Promise<Device> {
  const gpu = await attempt(() => openWebGpu({ ...budget, allowFallbackAdapter: false, ...webgpu }));
  if (gpu.device) return gpu.device;
  const cpu = await attempt(() => openOnnx(budget));
  if (cpu.device) return cpu.device;
  throw new DeviceError(`openDevice: no device can be opened. WebGPU: ${gpu.reason}. ONNX Runtime: ${cpu.reason}`);
}

type Attempt =
  | { readonly device: Device; readonly reason?: never }
  | { readonly device?: never; readonly reason: string };

/** Only what says that a device is not there counts as not there. */
async function attempt(open: () => Promise<Device>): Promise<Attempt> {
  try {
    return { device: await open() };
  } catch (error) {
    if (isHeddleError(error, 'ERR_DEVICE')) return { reason: error.message };
    throw error;
  }
}
