import { ArgumentError, checkArguments, checkOptions, type Tensor } from '@heddle/tensor';
import { type AttendSpec, type AttentionKernel, checkKernels } from './attention-kernel.ts';
import type { KvView } from './kv-view.ts';

/** What a kernel costs for a call, in any one unit; `measuredCost` makes one of measured milliseconds. */
export type KernelCost = (kernel: AttentionKernel, q: Tensor, kv: KvView | undefined, spec: AttendSpec) => number;

/** Which kernel a call got, and why the others did not. */
export interface KernelChoice {
  readonly kernel: string;
  readonly passedOver: readonly { readonly kernel: string; readonly reason: string }[];
}

/** Options of `firstSupported`. */
export interface FirstSupportedOptions {
  /** The cheapest that supports the spec is taken, the first of equals. Without it the first that supports the spec. */
  readonly cost?: KernelCost;
  /** Told of each choice, when a call is recorded. */
  readonly onChoice?: (choice: KernelChoice) => void;
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
  checkArguments('firstSupported', 'list', { kernels });
  checkOptions('firstSupported', options, { cost: 'function?', onChoice: 'function?' });
  if (kernels.length === 0) throw new ArgumentError('firstSupported: takes at least one kernel');
  checkKernels('firstSupported', Object.fromEntries(kernels.map((kernel, i) => [`kernels[${i}]`, kernel])));
  const refusal = (spec: AttendSpec, kv?: KvView) => {
    const reasons = kernels.map((kernel) => kernel.supports(spec, kv));
    if (reasons.some((reason) => reason === undefined)) return undefined;
    return kernels.map(({ name }, i) => `${name}: ${reasons[i]}`).join('; ');
  };
  return {
    name: `first of ${kernels.map(({ name }) => name).join(', ')}`,
    supports: refusal,
    attend(q, k, v, kv, spec) {
      const candidates = kernels.map((kernel) => {
        const reason = kernel.supports(spec, kv);
        return { kernel, reason, cost: reason === undefined ? (options.cost?.(kernel, q, kv, spec) ?? 0) : Infinity };
      });
      const chosen = candidates
        .filter(({ reason }) => reason === undefined)
        .reduce<(typeof candidates)[number] | undefined>(
          (best, next) => (best && best.cost <= next.cost ? best : next),
          undefined,
        );
      if (!chosen) throw new ArgumentError(`attend: no kernel supports this: ${refusal(spec, kv)}`);
      const behind = ({ cost }: { cost: number }) =>
        options.cost ? `costs ${cost}, ${chosen.kernel.name} ${chosen.cost}` : `${chosen.kernel.name} comes first`;
      options.onChoice?.({
        kernel: chosen.kernel.name,
        passedOver: candidates
          .filter((candidate) => candidate !== chosen)
          .map((candidate) => ({ kernel: candidate.kernel.name, reason: candidate.reason ?? behind(candidate) })),
      });
      return chosen.kernel.attend(q, k, v, kv, spec);
    },
  };
}
