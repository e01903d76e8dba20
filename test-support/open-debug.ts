import type { Device } from '@heddle/tensor';
import { openOwnWebGpu } from './own-webgpu.ts';
import { backendName } from './suite.ts';

/** A device of the test's own on the project's back end, opened with `debug`. */
export async function openDebug(): Promise<Device> {
  if (backendName.startsWith('webgpu')) return openOwnWebGpu({ debug: true });
  if (backendName.startsWith('onnx')) return (await import('@heddle/tensor/onnx')).openOnnx({ debug: true });
  return (await import('@heddle/tensor/reference')).openReference({ debug: true });
}
