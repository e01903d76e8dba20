import type { WebGpuLowering } from '../executors/webgpu/lowering.ts';
import type { MatmulAttributes } from './matmul.ts';

export const matmulWebGpu: WebGpuLowering<MatmulAttributes> = { kernels: () => [] };
