import type { Device } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { sharedGpu } from './own-webgpu.ts';

/** Methods of a GPUDevice that make something which a replayed step must not make anew. */
const makers = [
  'createBuffer',
  'createBindGroup',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createShaderModule',
  'createQuerySet',
] as const;

export interface CountedGpu {
  readonly device: Device;
  /** How often each method was called since the last look, those that were not left out. */
  made(): Record<string, number>;
}

/** A WebGPU device that counts what it makes. Owned by the caller. */
export async function openCountedGpu(): Promise<CountedGpu> {
  const gpu = await sharedGpu();
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('no adapter');
  let counts: Record<string, number> = {};
  const request = adapter.requestDevice.bind(adapter);
  adapter.requestDevice = async (descriptor) => {
    const device = await request(descriptor);
    for (const name of makers) {
      const make = (device[name] as (...args: unknown[]) => unknown).bind(device);
      const counted = (...args: unknown[]) => {
        counts[name] = (counts[name] ?? 0) + 1;
        return make(...args);
      };
      Object.defineProperty(device, name, { value: counted });
    }
    return device;
  };
  const device = await openWebGpu({ gpu, adapter });
  return {
    device,
    made() {
      const made = counts;
      counts = {};
      return made;
    },
  };
}
