// A ladder of f16 matrix products by subgroup matrices: which tiling is right, and how fast.
//   node bench/dist/ladders/matmul-f16.js [SIZE] [unsafe|safe] [SECONDS]
//
// Tiles for fragments of 16 rows. Measured on an H100 at 4096 on normal values: 298 to 305 TFLOP/s with the first (b transposed
// 268 to 275). What the compiler may move decides most: reading ahead without a branch
// around it, from a place held within the matrix, 234; the branch between the two steps of a tile 261, around each operand
// alone 279, another around the steps 273; two tiles in turns with one barrier each 149 to 176; two arrays in workgroup memory
// in place of one about half. Other tiles: 128 x 256 276 (b transposed 275), 256 x 128 262, 96 x 128 224, 128 x 128 with 16 of
// the depth 213 and with 64 226, 128 x 64 by 2 subgroups 199, b straight from its buffer 132. The order of products, and of
// workgroups in bands, makes no difference. Of 64 x 128, 32 x 128 (both with 32 of the depth) and 64 x 64 with 32 none was the
// fastest for any product of 16 to 1,024 rows; 16 x 128 with 64 was for some of 16 rows, by 4%, and 35% slower for another.
import { f16ToF32, f32ToF16 } from '@heddle/tensor';
import { create, globals } from 'webgpu';
import { type MatmulVariant, matmulSource } from './matmul-f16-source.js';
import { compare, Ladder, normalValues } from './measure.js';

Object.assign(globalThis, globals);
const size = Number(process.argv[2] ?? 4096);
const seconds = Number(process.argv[4] ?? 600);
const toggles = [
  'allow_unsafe_apis',
  'vulkan_enable_f16_on_nvidia',
  ...(process.argv[3] === 'unsafe' ? ['skip_validation', 'disable_robustness', 'disable_workgroup_init'] : []),
];
const gpu = create([`enable-dawn-features=${toggles.join()}`]);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('no adapter');
const info = adapter.info as GPUAdapterInfo & {
  subgroupMatrixConfigs?: { componentType: string; resultComponentType: string; M: number; N: number; K: number }[];
};
const configs = (info.subgroupMatrixConfigs ?? []).filter(
  (c) => c.componentType === 'f16' && c.resultComponentType === 'f32',
);
const fragments =
  configs.filter((c) => c.M === 16 && c.K === 16).length > 0
    ? configs.filter((c) => c.M === 16 && c.K === 16)
    : configs;
const subgroupSize = info.subgroupMaxSize;
const device = await adapter.requestDevice({
  requiredFeatures: [
    'timestamp-query',
    'shader-f16',
    'subgroups',
    'chromium-experimental-subgroup-matrix' as GPUFeatureName,
  ],
  requiredLimits: {
    maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: adapter.limits.maxComputeWorkgroupSizeX,
    maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
    maxBufferSize: adapter.limits.maxBufferSize,
  },
});
console.log(info.description, toggles.join(), `subgroups of ${subgroupSize}, size ${size}`);

/** Normal values, rounded to halves. */
const normal = (count: number) => f16ToF32(f32ToF16(normalValues(count)));
const [valuesA, valuesB] = [normal(size * size), normal(size * size)];
const upload = (values: Float32Array) => {
  const buffer = device.createBuffer({
    size: values.length * 2,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, f32ToF16(values));
  return buffer;
};
const [a, b] = [upload(valuesA), upload(valuesB)];
const c = device.createBuffer({
  size: size * size * 4,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const params = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
device.queue.writeBuffer(params, 0, Uint32Array.of(size, size, size, 0));
const ladder = new Ladder(device);

/** Largest error over one row of C. */
async function errorOf(layout: MatmulVariant['layout'], row: number): Promise<number> {
  const got = await ladder.row(c, row, size);
  let worst = 0;
  for (let col = 0; col < size; col += 37) {
    let sum = 0;
    for (let k = 0; k < size; k++)
      sum +=
        (layout === 'TN' ? valuesA[k * size + row]! : valuesA[row * size + k]!) *
        (layout === 'NT' ? valuesB[col * size + k]! : valuesB[k * size + col]!);
    worst = Math.max(worst, Math.abs(sum - got[col]!));
  }
  return worst;
}

interface Candidate {
  readonly name: string;
  readonly variant: MatmulVariant;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly tflops: number[];
  error: number;
}

async function prepare(name: string, variant: MatmulVariant): Promise<Candidate> {
  const module = device.createShaderModule({ code: matmulSource(variant) });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [a, b, c, params].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return { name, variant, pipeline, group, tflops: [], error: Number.NaN };
}

const times = Math.max(2, Math.min(200, Math.ceil((20 * 4096 ** 3) / size ** 3)));

/** GPU time of a pass of dispatches, in TFLOP/s. */
async function measure({ pipeline, group, variant }: Candidate): Promise<number> {
  const time = await ladder.time((pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(size / variant.BN, size / variant.BM);
  });
  return (2 * size ** 3 * times) / time / 1000;
}

async function check(candidate: Candidate): Promise<void> {
  ladder.clear(c);
  await measure(candidate);
  const { layout } = candidate.variant;
  candidate.error = Math.max(await errorOf(layout, 1), await errorOf(layout, size - 3));
}

const variants: MatmulVariant[] = [];
type Tiling = readonly [BM: number, BN: number, BK: number, SM: number, SN: number];
const [wide, narrow] = [fragments[0]!, fragments[1] ?? fragments[0]!];
const add = ([BM, BN, BK, SM, SN]: Tiling, more: Partial<MatmulVariant> = {}) =>
  variants.push({
    fragment: wide,
    subgroupSize,
    layout: 'NN',
    BM,
    BN,
    BK,
    SM,
    SN,
    pad: 8,
    hold: 'both',
    buffers: 1,
    prefetch: 'branch',
    unroll: true,
    band: 0,
    ...more,
  });
const tilings: readonly Tiling[] =
  size < 1024
    ? [
        [32, 32, 16, 2, 2],
        [64, 32, 32, 2, 1],
      ]
    : [
        [128, 128, 32, 2, 2],
        [128, 128, 64, 2, 2],
        [128, 256, 32, 2, 4],
        [256, 128, 32, 4, 2],
        [256, 64, 32, 4, 1],
        [128, 128, 32, 4, 2],
        [64, 64, 32, 1, 1],
        [64, 128, 32, 1, 2],
      ];
for (const tiling of tilings) {
  add(tiling);
  add(tiling, { hold: 'left' });
  add(tiling, { buffers: 2 });
  add(tiling, { buffers: 2, hold: 'left' });
}
for (const band of [2, 4, 8, 16]) add(tilings[0]!, { band });
for (const layout of ['NT', 'TN'] as const)
  for (const buffers of [1, 2] as const) add(tilings[0]!, { layout, buffers });
add(tilings[0]!, { fragment: narrow });
add(tilings[0]!, { fragment: narrow, buffers: 2 });
add(tilings[0]!, { prefetch: 'capped' });
add(tilings[0]!, { prefetch: false });
add(tilings[0]!, { unroll: false });
const limit = adapter.limits.maxComputeWorkgroupStorageSize;
const candidates: Candidate[] = [];
for (const v of variants) {
  const tile = (rows: number, width: number) => 2 * rows * (width + v.pad);
  const bytes =
    v.buffers *
    ((v.layout === 'TN' ? tile(v.BK, v.BM) : tile(v.BM, v.BK)) +
      (v.layout === 'NT' ? tile(v.BN, v.BK) : tile(v.BK, v.BN)));
  if (bytes > limit || performance.now() > seconds * 1000) continue;
  const name = `${v.layout} ${v.BM}x${v.BN}x${v.BK} ${v.SM}x${v.SN} pad${v.pad} frag${v.fragment.M}x${v.fragment.N}x${v.fragment.K} hold-${v.hold} buf${v.buffers}${v.prefetch ? ` prefetch-${v.prefetch}` : ''}${v.unroll ? ' unroll' : ''} band${v.band}`;
  try {
    const candidate = await prepare(name, v);
    await check(candidate);
    candidates.push(candidate);
  } catch (error) {
    console.log(name, String(error).slice(0, 200));
  }
}
await compare(candidates, measure);
device.destroy();
