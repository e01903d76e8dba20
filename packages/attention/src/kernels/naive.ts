import { decomposePacked } from '../paged/decomposition.ts';
import { checkPacked, packedArguments } from '../paged/packed-attention.ts';
import type { AttentionKernel } from './attention-kernel.ts';

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
