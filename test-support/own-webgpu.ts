import type { Device } from '@heddle/tensor';
import { openWebGpu, type WebGpuOptions } from '@heddle/tensor/webgpu';
import { beforeEach } from 'vitest';
import { createNodeGpu } from '../packages/tensor/src/executors/webgpu/node-gpu.ts';
import { backendName, conformance } from './suite.ts';

const environment = (): { readonly vulkanLoader: string | undefined; readonly toggles: string[] | undefined } => {
  const env = typeof process === 'undefined' ? {} : process.env;
  return { vulkanLoader: env['VULKAN_LOADER'], toggles: env['DAWN_TOGGLES']?.split(',') };
};

let shared: Promise<GPU> | undefined;

/**
 * The GPU object of this process. One for all devices of a file: with many that come and go, Dawn in Node now and then
 * crashes when the collector takes one of them.
 */
export function sharedGpu(): Promise<GPU> {
  shared ??= globalThis.navigator?.gpu ? Promise.resolve(navigator.gpu) : createNodeGpu(environment());
  return shared;
}

/** A device of the test's own on the project's adapter, with options. The test disposes of it. */
export async function openOwnWebGpu(options: WebGpuOptions = {}): Promise<Device> {
  return openWebGpu({ gpu: await sharedGpu(), ...options });
}

// a GPU object that is collected while Dawn has anything left to do with it crashes the process: these stay till its end
const kept: GPU[] = [];

/** A plain GPUDevice of the test's own, as a caller might have one. */
export async function requestGpuDevice(): Promise<GPUDevice> {
  const gpu = await sharedGpu();
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('no adapter');
  kept.push(gpu);
  return adapter.requestDevice();
}

/** Tests of the WebGPU executor itself: on other back ends they are skipped, with that as the reason. */
export function onWebGpu(title: string, body: (device: () => Device) => void): void {
  conformance(title, (device) => {
    beforeEach((context) => {
      if (!backendName.startsWith('webgpu')) context.skip('a test of the WebGPU executor');
    });
    body(device);
  });
}
