// A GPU that takes everything at once and computes nothing: what is left of a step is the host's.

const nothing = () => {};
const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
const encoder = {
  beginComputePass: () => pass,
  copyBufferToBuffer: nothing,
  clearBuffer: nothing,
  finish: () => encoder,
};

function idleDevice(limits: GPUSupportedLimits, features: ReadonlySet<string>): GPUDevice {
  const buffer = (descriptor: GPUBufferDescriptor) => ({
    size: descriptor.size,
    mapAsync: () => Promise.resolve(),
    getMappedRange: (_: number, length: number) => new ArrayBuffer(length), // zeros: token 0
    unmap: nothing,
    destroy: nothing,
  });
  const device = {
    limits,
    features,
    lost: new Promise<never>(nothing),
    queue: { writeBuffer: nothing, submit: nothing },
    addEventListener: nothing,
    pushErrorScope: nothing,
    popErrorScope: () => Promise.resolve(null),
    createBuffer: buffer,
    createBindGroup: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipelineAsync: () => Promise.resolve({ getBindGroupLayout: nothing }),
    createCommandEncoder: () => encoder,
    destroy: nothing,
  };
  return device as unknown as GPUDevice;
}

/** An adapter of the least limits and of usual features, and the GPU that it is of. */
export function idleGpu(): { readonly gpu: GPU; readonly adapter: GPUAdapter } {
  const large = 2 ** 40;
  const limits = {
    maxStorageBuffersPerShaderStage: 10,
    maxStorageBufferBindingSize: large,
    maxBufferSize: large,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupStorageSize: 32_768,
    maxComputeWorkgroupSizeX: 1024,
    maxComputeWorkgroupSizeY: 1024,
    maxComputeWorkgroupSizeZ: 64,
    maxComputeWorkgroupsPerDimension: 65_535,
    minStorageBufferOffsetAlignment: 256,
    minUniformBufferOffsetAlignment: 256,
  } as unknown as GPUSupportedLimits;
  const features = new Set(['shader-f16', 'subgroups']);
  const info = {
    vendor: 'none',
    architecture: '',
    device: '',
    description: 'no GPU',
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
  };
  const adapter = { limits, features, info, requestDevice: async () => idleDevice(limits, features) };
  return {
    adapter: adapter as unknown as GPUAdapter,
    gpu: { wgslLanguageFeatures: new Set() } as unknown as GPU,
  };
}
