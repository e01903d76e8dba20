import { decomposedAttention } from '../paged/packed-attention.ts';
import type { AttentionKernel } from './attention-kernel.ts';

/** Attention in plain tensor operations, scores and all: what every other kernel is compared with. Differentiable. */
export function naive(): AttentionKernel {
  return {
    name: 'naive',
    supports: () => undefined,
    attend: (q, k, v, kv, spec) => decomposedAttention({ q, k, v, kv, spec })[0]!,
    attendWithLse(q, k, v, kv, spec) {
      const [out, lse] = decomposedAttention({ q, k, v, kv, spec, lse: true });
      return { out: out!, lse: lse! };
    },
  };
}
