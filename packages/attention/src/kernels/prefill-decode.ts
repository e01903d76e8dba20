import { dimsEqual } from '@heddle/tensor';
import { type AttentionKernel, checkKernels } from './attention-kernel.ts';

/**
 * One kernel for steps with a row for each sequence (decoding: the size of the rows is that of the sequences, as a number or
 * as a symbolic dimension), another for all others.
 */
export function prefillDecode(prefill: AttentionKernel, decode: AttentionKernel): AttentionKernel {
  checkKernels('prefillDecode', { prefill, decode });
  return {
    name: `${prefill.name}, decoding ${decode.name}`,
    supports(spec, kv) {
      const why = [prefill, decode].flatMap((kernel) => {
        const reason = kernel.supports(spec, kv);
        return reason === undefined ? [] : [`${kernel.name}: ${reason}`];
      });
      return why.length === 0 ? undefined : why.join('; ');
    },
    attend(q, k, v, kv, spec) {
      const decoding = kv !== undefined && dimsEqual(q.shape[0]!, kv.lengths.shape[0]!);
      return (decoding ? decode : prefill).attend(q, k, v, kv, spec);
    },
  };
}
