/// <reference lib="dom" preserve="true" />
import { checkOptions } from './checks/check-options.ts';
import { createDevice } from './create-device.ts';
import { describeInfo, type GpuOptions, gpuOf, requestAdapter, requestDevice } from './executors/webgpu/adapters.ts';
import { capabilitiesOf } from './executors/webgpu/capabilities.ts';
import { assertCapable, WebGpuExecutor } from './executors/webgpu/executor.ts';
import { letGoOf } from './executors/webgpu/node-gpu.ts';
import type { TuningCache } from './executors/webgpu/tuning/tuning-cache.ts';
import type { Device } from './graph/device.ts';
import { checkBudget } from './report/memory.ts';

export { type AdapterDescription, describeAdapters, type GpuOptions } from './executors/webgpu/adapters.ts';
export { TuningCache, type TuningJson, type TuningRecord } from './executors/webgpu/tuning/tuning-cache.ts';

export interface WebGpuOptions extends GpuOptions {
  readonly adapter?: GPUAdapter | undefined;
  /** A device of the caller's own: it is used as it is, and never destroyed. */
  readonly device?: GPUDevice | undefined;
  readonly powerPreference?: 'high-performance' | 'low-power' | undefined;
  /** Whether a software adapter, which emulates a GPU on the CPU, will do (default true). */
  readonly allowFallbackAdapter?: boolean | undefined;
  /** The most bytes that the device may hold in buffers. */
  readonly memoryBudget?: number | undefined;
  /** Whether operations share kernels, and kernels dispatches (default true). False is for comparing results and counts. */
  readonly fuse?: boolean | undefined;
  /**
   * Whether to check indices in each run (`IndexError`), which reads a few numbers back, and to note where each allocation came
   * from, for `device.leaks()`.
   */
  readonly debug?: boolean | undefined;
  /** Which kernels are fastest on this adapter: what `step.tune()` measured before, and measures from now on. */
  readonly tuning?: TuningCache | undefined;
}

const optionNames = [
  ...['gpu', 'adapter', 'device', 'powerPreference', 'allowFallbackAdapter', 'memoryBudget', 'fuse', 'debug', 'tuning'],
  ...['toggles', 'vulkanLoader'],
];

/**
 * Opens a GPU through WebGPU: in browsers `navigator.gpu`, in Node the package `webgpu`, or what the caller passes. Owned by
 * the caller, whose `dispose()` also lets Node exit.
 * @throws DeviceError where there is no adapter, or no `webgpu` package in Node; ArgumentError
 */
export async function openWebGpu(options: WebGpuOptions = {}): Promise<Device> {
  checkOptions('openWebGpu', options, optionNames);
  const { memoryBudget, fuse, debug, tuning } = options;
  checkBudget('openWebGpu', memoryBudget);
  if (options.device) {
    const { device } = options;
    const capabilities = capabilitiesOf(device, globalThis.navigator?.gpu?.wgslLanguageFeatures);
    assertCapable(capabilities);
    const description = device.adapterInfo ? describeInfo(device.adapterInfo) : 'a device of the caller';
    return createDevice(new WebGpuExecutor({ device, capabilities, description, memoryBudget, fuse, debug, tuning }));
  }
  const gpu = options.adapter ? options.gpu : await gpuOf(options);
  try {
    return await openOn(gpu, options);
  } catch (cause) {
    letGoOf(gpu);
    throw cause;
  }
}

/** A device of our own on an adapter of `gpu`, or on the one that was passed. */
async function openOn(gpu: GPU | undefined, options: WebGpuOptions): Promise<Device> {
  const { memoryBudget, fuse, debug, tuning } = options;
  const adapter = options.adapter ?? (await requestAdapter(gpu!, options));
  const device = await requestDevice(adapter);
  const languageFeatures = (gpu ?? globalThis.navigator?.gpu)?.wgslLanguageFeatures;
  const capabilities = capabilitiesOf(device, languageFeatures, adapter.info);
  assertCapable(capabilities);
  const description = describeInfo(adapter.info);
  return createDevice(
    new WebGpuExecutor({ device, capabilities, description, memoryBudget, fuse, debug, tuning, owned: { gpu } }),
  );
}
