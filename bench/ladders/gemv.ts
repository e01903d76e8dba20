// Variants of the kernel of few rows over stored weights: columns of a team, lanes, teams of a workgroup.
//   node bench/dist/ladders/gemv.js [FILTER]
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
  readonly matmulPieces: (
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
  const inside = (name: string) => import(new URL(`../../../packages/tensor/dist/ops/${name}`, import.meta.url).href);
  return {
    ...(await inside('matmul-codecs.js')),
    ...(await inside('matmul-pieces.wgsl.js')),
    ...(await inside('matmul-spec.js')),
  };
}

const filter = new RegExp(process.argv[2] ?? '');
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device: Device = await openWebGpu(toggles ? { toggles } : {});
const { codecOf, matmulPieces, matmulSpec } = await internal();

function variant(shape: Shape, half: boolean): (x: Tensor, w: Tensor) => Tensor {
  const attributes = { transposeA: false, transposeB: true, shape: JSON.stringify(shape), half };
  const op = defineOp<typeof attributes>({
    name: 'gemvVariant',
    takes: () => true,
    shape: ([x, w]) => [{ shape: [x!.shape[0]!, w!.shape[0]!], dtype: x!.dtype }],
    lower: {
      webgpu: {
        kernels: (context: KernelContext<typeof attributes>) => [
          matmulPieces(matmulSpec(context), codecOf(context.inputs[1]!.dtype, half), 1, shape, context.capabilities),
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
