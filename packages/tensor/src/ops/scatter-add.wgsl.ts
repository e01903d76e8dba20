import type { Dim } from '../dim.ts';
import type { WebGpuLowering } from '../executors/webgpu/lowering.ts';

export const scatterAddWebGpu: WebGpuLowering<{ readonly rows: Dim }> = { kernels: () => [] };
