import { type Dim, multiplyDims } from '../../dim.ts';
import type { KernelCall, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import type { MatmulAttributes } from './attributes.ts';
import { matmulSpec } from './spec.ts';

/** The kernels of a product with its multiplications and additions noted at the one that does them, for reports. */
export function withWork(lowering: WebGpuLowering<MatmulAttributes>): WebGpuLowering<MatmulAttributes> {
  if (!('kernels' in lowering)) return lowering;
  return {
    ...lowering,
    kernels(context): readonly KernelCall[] {
      const { batch, m, k, n } = matmulSpec(context);
      const flops = [2, sizeOf(batch), m, k, n].reduce<Dim>(multiplyDims, 1);
      const calls = lowering.kernels(context);
      // others unpack operands before, or join parts of the depth behind
      const product = calls.find(({ label }) => label.startsWith('matmul')) ?? calls[0];
      return calls.map((call) =>
        call === product ? { ...call, flops: call.also ? multiplyDims(flops, 2) : flops } : call,
      );
    },
  };
}
