import type { AttentionKernel } from './attention-kernel.ts';
import { packedAttention } from './packed-attention.ts';

/**
 * Attention that never holds the scores of all rows and keys: one kernel with an online softmax on WebGPU, fused operators on
 * ONNX Runtime. Differentiable.
 */
export function flash(): AttentionKernel {
  return { name: 'flash', supports: () => undefined, attend: packedAttention };
}
