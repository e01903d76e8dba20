import type { WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';

/** The parts of the browser's and Node's WebGPU that the type definitions do not have yet. */
interface ExperimentalInfo {
  readonly subgroupMatrixConfigs?: readonly {
    readonly M: number;
    readonly N: number;
    readonly K: number;
    readonly componentType: string;
    readonly resultComponentType: string;
  }[];
}

/** Features that are switched on where an adapter has them. */
export const wantedFeatures: readonly string[] = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
];

/** Limits that are raised to what an adapter has. */
export const wantedLimits = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

/**
 * What kernels on a device may use. `languageFeatures` are those of the `GPU` object that the device came from; `adapterInfo`
 * is the adapter's own, where it is at hand: Dawn's devices do not repeat the shapes of subgroup matrices.
 */
export function capabilitiesOf(
  device: GPUDevice,
  languageFeatures: ReadonlySet<string> | undefined,
  adapterInfo: GPUAdapterInfo | undefined = device.adapterInfo,
): WebGpuCapabilities {
  const { limits } = device;
  const features = device.features as ReadonlySet<string>;
  const has = (feature: string) => features.has(feature);
  const matrices = has('chromium-experimental-subgroup-matrix')
    ? ((adapterInfo as ExperimentalInfo | undefined)?.subgroupMatrixConfigs ?? [])
    : [];
  return {
    shaderF16: has('shader-f16'),
    subgroups: has('subgroups'),
    subgroupId: has('subgroups') && languageFeatures?.has('subgroup_id') === true,
    subgroupMinSize: adapterInfo?.subgroupMinSize ?? 4,
    subgroupMaxSize: adapterInfo?.subgroupMaxSize ?? 128,
    subgroupMatrices: [...matrices].map(({ M, N, K, componentType, resultComponentType }) => ({
      M,
      N,
      K,
      componentType,
      resultComponentType,
    })),
    maxWorkgroupStorageBytes: limits.maxComputeWorkgroupStorageSize,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
  };
}
