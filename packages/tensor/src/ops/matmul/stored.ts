import { multiplyDims } from '../../dim.ts';
import { isBlockFormat } from '../../dtype.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelCall, KernelContext, WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';
import type { MatmulAttributes } from './attributes.ts';
import { codecOf, type WeightCodec } from './gemv/dequant.ts';
import type { GemvFusions } from './gemv/fusions.ts';
import { type QuantizedGemvShape, quantizedGemv, subgroupSize } from './gemv/quantized.wgsl.ts';
import type { MatmulSpec } from './spec.ts';

/** Bytes of f16 weights that are unpacked for one product: what a buffer binding may have everywhere. */
const maxUnpackedBytes = 2 ** 27;

/** A product of up to `rows` rows with weights that are read by pieces, where they can be; f16 ones for several rows. */
export function storedRows(
  spec: MatmulSpec,
  rows: number,
  { capabilities, bound }: KernelContext<MatmulAttributes>,
  beside?: GemvFusions,
): KernelCall | undefined {
  const { a, b, k } = spec;
  if (b.type.dtype === 'f16' && rows === 1) return undefined;
  const codec = codecOf(b.type.dtype, capabilities.shaderF16);
  const isPlain = a.depthIsInner && b.depthIsInner && a.fours && spec.batch.length === 0 && b.batch.length === 0;
  if (!codec || !isPlain || typeof k !== 'number' || k === 0 || k % codec.values !== 0) return undefined;
  return quantizedGemv(spec, codec, rows, shapeFor(codec, k, bound(spec.n), capabilities), capabilities, beside);
}

/** Columns from which on a workgroup is several teams: there are enough workgroups then, and starting them takes time too. */
const manyColumns = 8192;

function shapeFor(codec: WeightCodec, k: number, n: number, capabilities: WebGpuCapabilities): QuantizedGemvShape {
  const columns = 4;
  const lanes = capabilities.subgroupId ? subgroupSize(capabilities) : undefined;
  if (lanes) return { columns, lanes, teams: Math.max(1, (n < manyColumns ? 32 : 64) / lanes) };
  return { columns, lanes: k / codec.values >= 128 ? 64 : 32, teams: 1 };
}

/**
 * Kernels of a product of many rows with block-quantised weights on adapters that multiply f16 matrices: the weights are
 * unpacked to f16 in scratch memory, then `multiply` goes on with them as with any.
 */
export function unpackedProduct(
  spec: MatmulSpec,
  { inputs }: KernelContext<MatmulAttributes>,
  multiply: (spec: MatmulSpec) => readonly KernelCall[] | undefined,
): readonly KernelCall[] | undefined {
  const { dtype, shape } = inputs[1]!;
  if (!isBlockFormat(dtype)) return undefined;
  const count = shape.reduce<number>((size, dim) => (typeof dim === 'number' ? size * dim : Number.NaN), 1);
  if (!(2 * count <= maxUnpackedBytes)) return undefined;
  const type = { shape, dtype: 'f16' as const };
  const scratch = { scratch: 'unpacked', type } as const;
  const calls = multiply({ ...spec, b: { ...spec.b, type, source: { ...scratch, access: 'read' } } });
  if (!calls) return undefined;
  const unpack: KernelCall = {
    label: `matmul.unpack ${dtype}`,
    buffers: [
      { name: 'b', ...spec.b.source, vector: 4 },
      { name: 'unpacked', ...scratch, access: 'write', vector: 4 },
    ],
    parameters: { count: shape.reduce(multiplyDims, 1) },
    threads: 256,
    write: ({ at4, set4, size }) => ({
      main: `  let k = ((w.z * n.y + w.y) * n.x + w.x) * 256u + l;
  if (4u * k < ${size.count}) { ${set4.unpacked}(k, ${at4.b}(k)); }`,
    }),
    workgroups: () => spreadWorkgroups(Math.ceil(count / 1024)),
  };
  return [unpack, ...calls];
}
