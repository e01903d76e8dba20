import { ArgumentError, type Tensor } from '@heddle/tensor';
import type { AttendSpec, AttentionKernel } from './attention-kernel.ts';
import type { KvView } from './kv-view.ts';

export interface FirstSupportedOptions {
  /**
   * What a kernel costs for this call, in any one unit (measured milliseconds, say); the cheapest that supports the spec is
   * taken, the first of equals. Without it the first that supports the spec.
   */
  cost?(kernel: AttentionKernel, q: Tensor, kv: KvView | undefined, spec: AttendSpec): number;
}

/**
 * Takes, for each call, a kernel that supports its spec.
 *
 * @throws ArgumentError from `attend` where none does, with the reason of each
 */
export function firstSupported(
  kernels: readonly AttentionKernel[],
  options: FirstSupportedOptions = {},
): AttentionKernel {
  if (kernels.length === 0) throw new ArgumentError('firstSupported: takes at least one kernel');
  const reasons = (spec: AttendSpec) => kernels.map((kernel) => kernel.supports(spec));
  const refusal = (spec: AttendSpec) => {
    const why = reasons(spec);
    if (why.some((reason) => reason === undefined)) return undefined;
    return kernels.map(({ name }, i) => `${name}: ${why[i]}`).join('; ');
  };
  return {
    name: `first of ${kernels.map(({ name }) => name).join(', ')}`,
    supports: refusal,
    attend(q, k, v, kv, spec) {
      const why = reasons(spec);
      const able = kernels.filter((_, i) => why[i] === undefined);
      const cost = (kernel: AttentionKernel) => options.cost?.(kernel, q, kv, spec) ?? 0;
      const cheapest = able.reduce<AttentionKernel | undefined>(
        (best, kernel) => (best && cost(best) <= cost(kernel) ? best : kernel),
        undefined,
      );
      if (!cheapest) throw new ArgumentError(`attend: no kernel supports this: ${refusal(spec)}`);
      return cheapest.attend(q, k, v, kv, spec);
    },
  };
}
