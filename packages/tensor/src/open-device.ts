import { checkOptions } from './checks/check-options.ts';
import { describe } from './checks/describe.ts';
import { ArgumentError, DeviceError, isHeddleError } from './checks/errors.ts';
import type { Device } from './graph/device.ts';
import type { OnnxOptions } from './onnx.ts';
import { checkBudget } from './report/memory.ts';
import type { WebGpuOptions } from './webgpu.ts';

/** The names that `openDevice` takes. */
export const deviceNames: readonly ['auto', 'webgpu', 'onnx', 'reference'] = ['auto', 'webgpu', 'onnx', 'reference'];

/** A device by name; 'auto' is the best there is. */
export type DeviceName = (typeof deviceNames)[number];

/** How a device is opened. */
export interface OpenDeviceOptions {
  /** The most bytes that the device will hold. */
  readonly memoryBudget?: number;
  /** Whether to check indices in each run, and to note where each allocation came from, for `device.leaks()`. */
  readonly debug?: boolean;
  /** How WebGPU is opened, where it is. */
  readonly webgpu?: WebGpuOptions;
  /** How ONNX Runtime is opened, where it is: in browsers it takes the namespace of `onnxruntime-web` as `runtime`. */
  readonly onnx?: OnnxOptions;
}

type Common = Pick<OpenDeviceOptions, 'memoryBudget' | 'debug'>;

/**
 * Opens a device by name; what computes on it is loaded then. 'auto' is the best there is: a GPU through WebGPU (an adapter that
 * only emulates one is passed over), otherwise ONNX Runtime on the CPU. Owned by the caller.
 *
 * ```ts
 * const device = await openDevice();
 * console.log(device.name, device.description);
 * await device.dispose();
 * ```
 * @throws DeviceError where there is none, saying what was tried and what to install; ArgumentError
 */
export async function openDevice(name: DeviceName = 'auto', options: OpenDeviceOptions = {}): Promise<Device> {
  checkOptions('openDevice', options, {
    memoryBudget: 'anything',
    debug: 'boolean?',
    webgpu: 'object?',
    onnx: 'object?',
  });
  checkBudget('openDevice', options.memoryBudget);
  const { webgpu, onnx, ...common } = options;
  switch (name) {
    case 'reference':
      return (await import('./reference.ts')).openReference(common);
    case 'onnx':
      return onOnnx(common, onnx);
    case 'webgpu':
      return onWebGpu({ ...common, ...webgpu });
    case 'auto':
      return openBest(common, options);
    default:
      throw new ArgumentError(`openDevice: takes ${deviceNames.join(', ')}, got ${describe(name)}`);
  }
}

async function onWebGpu(options: WebGpuOptions): Promise<Device> {
  return (await import('./webgpu.ts')).openWebGpu(options);
}

async function onOnnx(common: Common, options: OnnxOptions | undefined): Promise<Device> {
  return (await import('./onnx.ts')).openOnnx({ ...common, ...options });
}

async function openBest(common: Common, { webgpu, onnx }: OpenDeviceOptions): Promise<Device> {
  const gpu = await attempt(() => onWebGpu({ ...common, allowFallbackAdapter: false, ...webgpu }));
  if (gpu.device) return gpu.device;
  const cpu = await attempt(() => onOnnx(common, onnx));
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
