import type { AttentionKernel } from './attention-kernel.ts';
import { checkPacked, packedArguments } from './packed-attention.ts';
import { decomposePacked } from './packed-decomposition.ts';

/** Attention in plain tensor operations, scores and all: what every other kernel is compared with. Differentiable. */
export function naive(): AttentionKernel {
  return {
    name: 'naive',
    supports: () => undefined,
    attend(q, k, v, kv, spec) {
      const { inputs, attributes } = packedArguments(q, k, v, kv, spec);
      checkPacked(inputs, attributes.cache?.bits);
      return decomposePacked(inputs, attributes);
    },
  };
}
