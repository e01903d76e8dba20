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

/**
 * `decode` for steps in which each row is of another sequence. On WebGPU keys are split at places that depend on the cache's bounds
 * alone, so in plans that are the same for all sizes (`onePlan` of `compile`) what a row gives does not depend on other rows, to the
 * last bit. A second row of a sequence would not see the first.
 */
export function singleRows(): AttentionKernel {
  return packed('single rows', 'single');
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
