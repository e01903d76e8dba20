import { ArgumentError, calledAs, checkArguments, checkOptions, compile, type Tensor } from '@heddle/tensor';
import { type AttendSpec, type AttentionKernel, checkAttend, checkKernels } from './attention-kernel.ts';
import type { KernelCost } from './first-supported.ts';
import type { KvView } from './kv-view.ts';

/** A call of `attend` to measure, with tensors that have values. */
export interface SampleCall {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor | undefined;
  readonly kv: KvView | undefined;
  readonly spec: AttendSpec;
}

interface Sample {
  readonly rows: number;
  readonly cached: boolean;
  readonly ms: ReadonlyMap<AttentionKernel, number>;
}

/**
 * Runs each kernel on each sample call that it supports, and gives the cost of other calls by these measurements, for
 * `firstSupported`: that of the sample with or without a cache, as the call, whose number of rows is nearest by ratio. A call whose
 * rows are a symbolic dimension counts as the largest sample.
 *
 * @param options `runs`: of each kernel on each sample, of which the median counts; by default 5
 * @returns milliseconds; Infinity for what was not measured
 * @throws ArgumentError without samples
 */
export async function measuredCost(
  kernels: readonly AttentionKernel[],
  samples: readonly SampleCall[],
  options: { readonly runs?: number } = {},
): Promise<KernelCost> {
  checkArguments('measuredCost', 'list', { kernels, samples });
  checkKernels('measuredCost', Object.fromEntries(kernels.map((kernel, i) => [`kernels[${i}]`, kernel])));
  checkArguments('measuredCost', 'object', Object.fromEntries(samples.map((sample, i) => [`samples[${i}]`, sample])));
  checkOptions('measuredCost', options, { runs: 'size?' });
  return calledAs('measuredCost', async () => {
    for (const sample of samples) {
      checkOptions('measuredCost', sample, ['q', 'k', 'v', 'kv', 'spec']);
      checkAttend('measuredCost', sample);
    }
    const { runs = 5 } = options;
    if (samples.length === 0) throw new ArgumentError('measuredCost: takes at least one sample call');
    const measured: Sample[] = [];
    for (const { q, k, v, kv, spec } of samples) {
      const ms = new Map<AttentionKernel, number>();
      for (const kernel of kernels) {
        if (kernel.supports(spec, kv) !== undefined) continue;
        const step = compile((q: Tensor, k: Tensor, own: Tensor) => kernel.attend(q, k, v && own, kv, spec).sum());
        const run = async () => {
          const begin = performance.now();
          await (await step(q, k, v ?? k)).data();
          return performance.now() - begin;
        };
        try {
          // the first run compiles
          await run();
          const times: number[] = [];
          for (let i = 0; i < runs; i++) times.push(await run());
          ms.set(kernel, times.sort((a, b) => a - b)[runs >> 1]!);
        } finally {
          step.dispose();
        }
      }
      measured.push({ rows: Number(q.shape[0]), cached: kv !== undefined, ms });
    }
    return (kernel, q, kv) => {
      const rows = q.shape[0];
      const alike = measured.filter(({ cached, ms }) => cached === (kv !== undefined) && ms.has(kernel));
      const far = (sample: Sample) =>
        typeof rows === 'number' ? Math.abs(Math.log(sample.rows / rows)) : -sample.rows;
      const nearest = alike.sort((a, b) => far(a) - far(b))[0];
      return nearest?.ms.get(kernel) ?? Infinity;
    };
  });
}
