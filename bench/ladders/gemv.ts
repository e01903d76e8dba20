// Variants of the kernel of few rows over stored weights: columns of a team, lanes, teams of a workgroup.
//   node bench/dist/ladders/gemv.js [FILTER]
//
// Measured on an H100: 2,048 columns of q4_0 take 1.3 us less with one team of 32 lanes a workgroup than with two, 32,000 columns
// 6 us more. At [1, 4096] x [4096, 14336], f16 activations, 9 products of distinct weights in a row, as a share of
// the 3.06 TB/s that a kernel reads that does nothing else. Four columns a team of 32 lanes: f16 0.83, q8_0 0.72, q4_0 0.59, q4_k
// 0.48, q6_k 0.53. Eight columns: 0.78, 0.66, 0.49, 0.46, 0.54. A team of 128 lanes: 0.85, 0.70, 0.51, 0.45, 0.56. `a` through
// workgroup memory: 0.78, 0.67, 0.49, 0.43, 0.53. Without shader-f16 (f32 activations) q4_0 has 0.48, with it 0.47: what takes
// time is neither the conversions nor where `a` is; a line through the times of f16, q8_0 and q4_0 has 3.0 TB/s and 7 us a
// kernel. Eight rows of f16 have 0.56 here, 0.29 by the kernel of `rows.wgsl.ts`; of q4_0 0.12, where loading `a` takes the time.
// Loading two or four chunks before
// computing: q4_0 0.56 and 0.54, q8_0 0.71 and 0.70, q4_k 0.39 and 0.37, q6_k 0.58 and 0.48.
import {
  type Device,
  defineOp,
  type KernelCall,
  type KernelContext,
  recordOne,
  type Tensor,
  type WebGpuCapabilities,
} from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { gemvBandwidth, readBandwidth } from '../gemv-measure.js';

interface Shape {
  readonly columns: 4 | 8;
  readonly lanes: number;
  readonly teams: number;
}
type Internal = {
  readonly codecOf: (dtype: string, half: boolean) => unknown;
  readonly quantizedGemv: (
    spec: unknown,
    codec: unknown,
    rows: number,
    shape: Shape,
    c: WebGpuCapabilities,
  ) => KernelCall;
  readonly matmulSpec: (context: unknown) => unknown;
};
/** Files of the package that it does not export: a ladder compares what is inside. */
async function internal(): Promise<Internal> {
  const inside = (name: string) =>
    import(new URL(`../../../packages/tensor/dist/ops/matmul/${name}`, import.meta.url).href);
  return {
    ...(await inside('gemv/dequant.js')),
    ...(await inside('gemv/quantized.wgsl.js')),
    ...(await inside('spec.js')),
  };
}

const filter = new RegExp(process.argv[2] ?? '');
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device: Device = await openWebGpu(toggles ? { toggles } : {});
const { codecOf, quantizedGemv, matmulSpec } = await internal();

function variant(shape: Shape, half: boolean): (x: Tensor, w: Tensor) => Tensor {
  const attributes = { transposeA: false, transposeB: true, shape: JSON.stringify(shape), half };
  const op = defineOp<typeof attributes>({
    name: 'gemvVariant',
    takes: () => true,
    shape: ([x, w]) => [{ shape: [x!.shape[0]!, w!.shape[0]!], dtype: x!.dtype }],
    lower: {
      webgpu: {
        kernels: (context: KernelContext<typeof attributes>) => [
          quantizedGemv(matmulSpec(context), codecOf(context.inputs[1]!.dtype, half), 1, shape, context.capabilities),
        ],
      },
    },
  });
  return (x, w) => recordOne(op, [x, w], attributes);
}

const read = await readBandwidth(device);
console.log(`read ${(read / 1e9).toFixed(0)} GB/s`);
const shapes: Shape[] = [
  { columns: 4, lanes: 32, teams: 1 },
  { columns: 4, lanes: 32, teams: 4 },
  { columns: 8, lanes: 32, teams: 4 },
  { columns: 4, lanes: 128, teams: 1 },
];
for (const dtype of ['q4_0', 'f16', 'q8_0', 'q4_k', 'q6_k'] as const) {
  if (!filter.test(dtype)) continue;
  for (const activations of dtype === 'q4_0' ? (['f16', 'f32'] as const) : (['f16'] as const)) {
    const variants = shapes.flatMap((shape) => [true, false].map((half) => ({ shape, half })));
    const rows = await gemvBandwidth(
      device,
      dtype,
      activations,
      variants
        .filter(({ half }) => half || (dtype.startsWith('q') && activations === 'f32'))
        .map(({ shape, half }) => ({
          name: `${dtype} x ${activations} columns ${shape.columns} lanes ${shape.lanes} teams ${shape.teams}${half ? '' : ' without f16'}`,
          f: variant(shape, half),
        })),
    );
    for (const { name, bytesPerSecond } of rows)
      console.log(`${name}: ${(bytesPerSecond / 1e9).toFixed(0)} GB/s ${(bytesPerSecond / read).toFixed(3)}`);
  }
}
await device.dispose();
