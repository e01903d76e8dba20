import { checkArguments } from '../../checks/check-arguments.ts';
import { DeviceError } from '../../checks/errors.ts';
import { wantedFeatures, wantedLimits } from './capabilities.ts';
import { createNodeGpu, letGoOf, type NodeGpuOptions } from './node-gpu.ts';

/** Where a GPU comes from. */
export interface GpuOptions extends NodeGpuOptions {
  /** Where to get adapters; by default `navigator.gpu`, in Node the package `webgpu`. */
  readonly gpu?: GPU | undefined;
}

export async function gpuOf(options: GpuOptions): Promise<GPU> {
  const { gpu } = globalThis.navigator ?? {};
  return options.gpu ?? gpu ?? createNodeGpu(options);
}

export interface AdapterOptions {
  readonly powerPreference?: 'high-performance' | 'low-power' | undefined;
  /** Whether a software adapter, which emulates a GPU on the CPU, will do (default true). */
  readonly allowFallbackAdapter?: boolean | undefined;
}

/** @throws DeviceError where there is none */
export async function requestAdapter(
  gpu: GPU,
  { powerPreference, allowFallbackAdapter = true }: AdapterOptions,
): Promise<GPUAdapter> {
  const adapter = await gpu.requestAdapter(powerPreference ? { powerPreference } : {});
  if (!adapter) throw new DeviceError('openWebGpu: no WebGPU adapter: the machine has no GPU that a driver serves');
  if (!allowFallbackAdapter && adapter.info.isFallbackAdapter)
    throw new DeviceError(`openWebGpu: the adapter only emulates a GPU: ${describeInfo(adapter.info)}`);
  return adapter;
}

/** A device with every feature that kernels know to use, and the adapter's own limits. @throws DeviceError */
export async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const features = wantedFeatures.filter((feature) => (adapter.features as ReadonlySet<string>).has(feature));
  const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]));
  try {
    return await adapter.requestDevice({ requiredFeatures: features as GPUFeatureName[], requiredLimits });
  } catch (cause) {
    throw new DeviceError(`openWebGpu: the adapter gives no device: ${(cause as Error).message}`, { cause });
  }
}

/** The adapter's own words, else its vendor and architecture. */
export function describeInfo(info: GPUAdapterInfo): string {
  return info.description || [info.vendor, info.architecture].filter(Boolean).join(' ') || 'unnamed adapter';
}

/** A GPU that WebGPU offers, for people to choose by. */
export interface AdapterDescription {
  readonly description: string;
  readonly vendor: string;
  readonly architecture: string;
  /** Whether it is software: slow, and not to be taken for a GPU. */
  readonly isFallbackAdapter: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/**
 * The adapters that this machine has for WebGPU: the fast one, and others if there are. Opens no device.
 * @throws DeviceError where the machine has no WebGPU at all
 */
export async function describeAdapters(options: GpuOptions = {}): Promise<AdapterDescription[]> {
  checkArguments('describeAdapters', 'object', { options });
  const gpu = await gpuOf(options);
  const found = new Map<string, AdapterDescription>();
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: 'high-performance' },
    { powerPreference: 'low-power' },
    { forceFallbackAdapter: true },
  ];
  try {
    for (const request of requests) {
      const adapter = await gpu.requestAdapter(request);
      if (adapter) found.set(JSON.stringify(describe(adapter)), describe(adapter));
    }
  } finally {
    letGoOf(gpu);
  }
  return [...found.values()];
}

function describe({ info, features, limits }: GPUAdapter): AdapterDescription {
  const numbers: Record<string, number> = {};
  for (const name in limits) {
    const value: unknown = limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') numbers[name] = value;
  }
  return {
    description: describeInfo(info),
    vendor: info.vendor,
    architecture: info.architecture,
    isFallbackAdapter: info.isFallbackAdapter,
    features: [...features].sort(),
    limits: numbers,
  };
}
