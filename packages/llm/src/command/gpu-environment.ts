/**
 * What the environment says of the GPU: `VULKAN_LOADER`, the path of libvulkan.so.1 on a machine that has none in its
 * library path, and `DAWN_TOGGLES`, names of Dawn's switches separated by commas (`skip_validation,disable_robustness`).
 */
export function gpuEnvironment(): { readonly vulkanLoader?: string; readonly toggles?: readonly string[] } {
  const { VULKAN_LOADER: vulkanLoader, DAWN_TOGGLES: toggles } = process.env;
  return { ...(vulkanLoader && { vulkanLoader }), ...(toggles && { toggles: toggles.split(',') }) };
}
