import { DeviceError } from '../../checks/errors.ts';

/** What a plain device needs in Dawn for f16 and subgroup matrices on NVIDIA GPUs. */
const defaultToggles = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia'];

export interface NodeGpuOptions {
  /** Dawn toggles to switch on beyond those that kernels need, for example 'skip_validation'. */
  readonly toggles?: readonly string[] | undefined;
  /** Path of a Vulkan loader (libvulkan.so.1), on machines where it is in none of the places that Dawn looks at. */
  readonly vulkanLoader?: string | undefined;
}

/**
 * WebGPU in Node, from the package `webgpu` (Dawn). The result must stay reachable as long as a device of it lives, or the
 * process crashes; while it is, Node does not exit by itself.
 * @throws DeviceError where the package is not installed or does not start
 */
export async function createNodeGpu({ toggles = [], vulkanLoader }: NodeGpuOptions): Promise<GPU> {
  if (typeof process === 'undefined' || !process.versions?.node)
    throw new DeviceError('openWebGpu: this environment has no navigator.gpu');
  let create: (flags: string[]) => GPU;
  try {
    // not in the import itself: bundlers for browsers, which have no use for it, would follow it
    const name = 'webgpu';
    ({ create } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('webgpu'));
  } catch (cause) {
    throw new DeviceError(
      'openWebGpu: in Node this needs the package webgpu: npm install webgpu (or pass your own gpu, adapter or device)',
      { cause },
    );
  }
  // asked here, since Dawn prints a warning of its own where there is none
  if (vulkanLoader || process.platform === 'linux') loadVulkan(vulkanLoader ?? 'libvulkan.so.1');
  // timestamps are rounded to 65 us otherwise, against fingerprinting in browsers
  const exact = 'disable-dawn-features=timestamp_quantization';
  return create([`enable-dawn-features=${[...defaultToggles, ...toggles].join(',')}`, exact]);
}

/** Far more than Dawn was seen to take for what is left to do when everything has ended. */
const settlingMs = 500;

/**
 * Keeps a GPU object reachable until Dawn has nothing left to do with it. The package looks for events from the event loop,
 * and crashes where the object was collected before the last of them, such as the end of a device. Does not keep Node from
 * exiting.
 */
export function letGoOf(gpu: GPU | undefined, rounds = 2): void {
  // more than one round, so that a blocked event loop has gone round in between
  const timer: unknown = setTimeout(() => {
    if (rounds > 1) letGoOf(gpu, rounds - 1);
  }, settlingMs);
  if (typeof timer === 'object' && timer !== null && 'unref' in timer) (timer as { unref(): void }).unref();
}

/** Brings a Vulkan loader into the process, so that Dawn's own dlopen finds it by its name. */
function loadVulkan(path: string): void {
  const [now, neverUnload] = [2, 0x1000];
  try {
    process.dlopen({ exports: {} }, path, now | neverUnload);
  } catch (cause) {
    // it is no addon, so this always throws; a library that was loaded says only that it did not register
    const { message } = cause as Error;
    if (!message.includes('did not self-register'))
      throw new DeviceError(`openWebGpu: no WebGPU adapter: the Vulkan loader cannot be loaded: ${message}`, { cause });
  }
}
