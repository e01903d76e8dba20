// A ladder of f16 matrix products by subgroup matrices: which tiling is right, and how fast.
//   node bench/dist/ladders/matmul-f16.js [SIZE] [unsafe|safe] [SECONDS]
import { create, globals } from 'webgpu';
import { type MatmulVariant, matmulSource } from './matmul-f16-source.js';

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
  requiredFeatures: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix' as GPUFeatureName],
  requiredLimits: {
    maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: adapter.limits.maxComputeWorkgroupSizeX,
    maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
    maxBufferSize: adapter.limits.maxBufferSize,
  },
});
console.log(info.description, toggles.join(), `subgroups of ${subgroupSize}, size ${size}`);

const bits = (value: number) => {
  // exact halves of small multiples of 1/64
  const f32 = new Float32Array([value]);
  const u = new Uint32Array(f32.buffer)[0]!;
  if (value === 0) return 0;
  return ((u >>> 16) & 0x8000) | ((((u >>> 23) & 0xff) - 112) << 10) | ((u >>> 13) & 0x3ff);
};
const random = (i: number) => (((Math.imul(i, 2654435761) >>> 8) % 129) - 64) / 64;
const valuesA = Float32Array.from({ length: size * size }, (_, i) => random(i));
const valuesB = Float32Array.from({ length: size * size }, (_, i) => random(i + 7919 * size));
const upload = (values: Float32Array) => {
  const buffer = device.createBuffer({
    size: values.length * 2,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, Uint16Array.from(values, bits));
  return buffer;
};
const [a, b] = [upload(valuesA), upload(valuesB)];
const c = device.createBuffer({
  size: size * size * 4,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const params = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
device.queue.writeBuffer(params, 0, Uint32Array.of(size, size, size, 0));
const staging = device.createBuffer({ size: size * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });

/** Largest error over one row of C. */
async function errorOf(layout: MatmulVariant['layout'], row: number): Promise<number> {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(c, row * size * 4, staging, 0, size * 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const got = new Float32Array(staging.getMappedRange().slice(0));
  staging.unmap();
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

async function measure(variant: MatmulVariant): Promise<{ tflops: number; error: number }> {
  const module = device.createShaderModule({ code: matmulSource(variant) });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [a, b, c, params].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const run = async (times: number) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(size / variant.BN, size / variant.BM);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
  const clear = device.createCommandEncoder();
  clear.clearBuffer(c);
  device.queue.submit([clear.finish()]);
  await run(1);
  const error = Math.max(await errorOf(variant.layout, 1), await errorOf(variant.layout, size - 3));
  const times = size >= 2048 ? 30 : 1;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    await run(times);
    best = Math.min(best, (performance.now() - begin) / times);
  }
  return { tflops: (2 * size ** 3) / best / 1e9, error };
}

const variants: MatmulVariant[] = [];
const shapes: [number, number, number, number, number][] =
  size < 1024
    ? [
        [32, 32, 16, 2, 2],
        [64, 32, 32, 2, 1],
      ]
    : [
        [128, 128, 32, 2, 2],
        [128, 128, 16, 2, 2],
        [128, 256, 32, 2, 4],
        [256, 128, 32, 4, 2],
        [128, 64, 32, 2, 1],
        [64, 128, 32, 1, 2],
      ];
for (const layout of ['NN', 'NT', 'TN'] as const)
  for (const [BM, BN, BK, SM, SN] of shapes)
    for (const fragment of fragments)
      for (const hold of ['both', 'left'] as const)
        for (const pad of [8, 16])
          for (const unroll of [true, false])
            variants.push({
              fragment,
              subgroupSize,
              layout,
              BM,
              BN,
              BK,
              SM,
              SN,
              pad,
              hold,
              buffers: 1,
              prefetch: true,
              unroll,
              band: 0,
            });
const limit = adapter.limits.maxComputeWorkgroupStorageSize;
const results: { name: string; tflops: number; error: number }[] = [];
for (const v of variants) {
  const tile = (rows: number, width: number) => 2 * rows * (width + v.pad);
  const bytes =
    v.buffers *
    ((v.layout === 'TN' ? tile(v.BK, v.BM) : tile(v.BM, v.BK)) +
      (v.layout === 'NT' ? tile(v.BN, v.BK) : tile(v.BK, v.BN)));
  if (bytes > limit) continue;
  const name = `${v.layout} ${v.BM}x${v.BN}x${v.BK} ${v.SM}x${v.SN} pad${v.pad} frag${v.fragment.M}x${v.fragment.N}x${v.fragment.K} hold-${v.hold} buf${v.buffers}${v.prefetch ? ' prefetch' : ''}${v.unroll ? ' unroll' : ''} band${v.band}`;
  try {
    const result = { name, ...(await measure(v)) };
    results.push(result);
    if (performance.now() > seconds * 1000) break;
  } catch (error) {
    console.log(name, String(error).slice(0, 200));
  }
}
results.sort((x, y) => y.tflops - x.tflops);
for (const { name, tflops, error } of results)
  console.log(`${tflops.toFixed(1).padStart(7)} TFLOP/s  err ${error.toExponential(1)}  ${name}`);
device.destroy();
