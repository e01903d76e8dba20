import type { KernelCall, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import type { MatmulAttributes } from './attributes.ts';
import { fragmentChoice, simtChoice } from './gemm/choice.ts';
import { matmulPackedF16 } from './gemm/packed-f16.wgsl.ts';
import { matmulSimt } from './gemm/simt.wgsl.ts';
import { matmulFragment, matmulTensorCore } from './gemm/tensor-core.wgsl.ts';
import { matmulColumns } from './gemv/columns.wgsl.ts';
import { gemvFusions } from './gemv/fusions.ts';
import { matmulRows } from './gemv/rows.wgsl.ts';
import { type MatmulSpec, matmulSpec } from './spec.ts';
import { storedRows, unpackedProduct } from './stored.ts';

/** Up to so many rows, reading `b` is what takes time, and each of its values is read once. */
const fewRows = 8;
/**
 * With more rows than these, unpacking blocks once takes less than doing so for each tile of rows. On an H100, [m, 4096] by
 * q4_0 [4096, 14336]: 16 rows 83 us as they lie and 142 unpacked first, 64 rows 80 and 146, 128 rows 127 and 183, 512 rows
 * 373 and 356, 2,048 rows 1,229 and 1,008.
 */
const fusedRows = 256;
/** Chooses a kernel by the sizes of the plan, and by what is known of them whatever the run. */
export const matmulWebGpu: WebGpuLowering<MatmulAttributes> = {
  kernels(context): readonly KernelCall[] {
    const spec = matmulSpec(context);
    const { bound, capabilities, outputs } = context;
    if (outputs[0]!.dtype === 'f16' && !capabilities.shaderF16 && spec.store === 1) return [matmulPackedF16(spec)];
    const [m, n] = [bound(spec.m), bound(spec.n)];
    if (m <= fewRows) {
      const rows = 2 ** Math.ceil(Math.log2(Math.max(1, m)));
      const beside = rows === 1 ? gemvFusions(context, spec) : undefined;
      const stored = storedRows(spec, rows, context, beside);
      if (stored) return [stored];
      if (!spec.b.depthIsInner) return [matmulColumns(spec, rows)];
      return [matmulRows(spec, rows, bound(spec.k), capabilities, beside)];
    }
    const sizes = { batch: bound(sizeOf(spec.batch)), m, n, k: typeof spec.k === 'number' ? spec.k : undefined };
    const byFragments = (of: MatmulSpec) => {
      const fragment = matmulFragment(of, capabilities);
      return fragment && matmulTensorCore(of, fragment, fragmentChoice(fragment, sizes, context.choose));
    };
    const unpacked = m > fusedRows ? unpackedProduct(spec, context, byFragments) : undefined;
    const fragments = unpacked ?? byFragments(spec);
    if (fragments) return fragments;
    return matmulSimt(spec, simtChoice(sizes, spec.store === 4, context.choose));
  },
};
