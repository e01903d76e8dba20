import type { PackedAttributes } from '../paged/attributes.ts';
import { packedAttention } from '../paged/packed-attention.ts';
import type { AttentionKernel } from './attention-kernel.ts';

/**
 * Attention that never holds the scores of all rows and keys: kernels with an online softmax on WebGPU, for many rows or for
 * few as the sizes of the step suggest, and the runtime's fused operator on ONNX Runtime. Differentiable.
 */
export function flash(): AttentionKernel {
  return packed('flash', 'auto');
}

/** `flash` with the kernel for many rows of a sequence, whatever the sizes are. */
export function paged(): AttentionKernel {
  return packed('paged', 'tiles');
}

/** `flash` with the kernel for few rows and long keys, which are split over workgroups, whatever the sizes are. */
export function decode(): AttentionKernel {
  return packed('decode', 'rows');
}

function packed(name: string, layout: PackedAttributes['layout']): AttentionKernel {
  return {
    name,
    supports: () => undefined,
    attend: (q, k, v, kv, spec) => packedAttention({ q, k, v, kv, spec, layout })[0]!,
    attendWithLse(q, k, v, kv, spec) {
      const [out, lse] = packedAttention({ q, k, v, kv, spec, layout, lse: true });
      return { out: out!, lse: lse! };
    },
  };
}
