import { attempt, type Open } from '../backend.ts';

/** The Vulkan driver is the machine's own or the bundled one: vitest.config.ts says which through the environment. */
export const open: Open = () =>
  attempt('webgpu-node', async () => {
    const { openWebGpu } = await import('@heddle/tensor/webgpu');
    const vulkanLoader = process.env['VULKAN_LOADER'];
    const toggles = process.env['DAWN_TOGGLES'];
    return openWebGpu({
      ...(vulkanLoader ? { vulkanLoader } : {}),
      ...(toggles ? { toggles: toggles.split(',') } : {}),
    });
  });
