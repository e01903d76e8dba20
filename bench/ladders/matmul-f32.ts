// A ladder of f32 matrix products by tiles in workgroup memory: which tiling is right, and how fast.
//   node bench/dist/ladders/matmul-f32.js [M] [N] [K] [unsafe|safe] [NN|NT|TN]
// With a layout: only those tiles that kernels choose from.
//
// Measured on an H200 at 4096 on normal values, NN, NT, TN: 47.0, 44.4, 47.9 TFLOP/s with all 16 steps of a tile in the text, the
// operands of each read before the products of the one before, and the next tile read without a branch around it, from a place held
// within the matrix. A loop over the steps: 39.0, 37.7, 39.8; loops with 2, 4 or 8 steps in the text 31 to 43, often less than with
// one. With the branch 45.3, 43.8, 47.2; with the branch and without reading ahead NN falls to 36.3. 32 neighbours over 4 x 8 fours in
// place of along a row: 45.3 against 42.7. Two tiles in turns with one barrier each: 33 to 42. Other tiles, NN: 128 x 256 by 8 x 16
// with 8 of the depth 47.8 by one form and 33.7 by another, 256 x 128 47.2 and 37.1, 64 x 128 44.5, 64 x 64 by 8 x 4 41.2 and by 4 x 4
// 32.4, 256 x 256 9 to 13. Bands of workgroups make no difference. Where a result has few tiles, those beyond a multiple of the 132
// cores cost a round of their own: [768, 8192] by [8192, 3072] 26.6 in 144 tiles of 128 x 128, hence the parts of the depth.
import { create, globals } from 'webgpu';
import { type F32MatmulVariant, f32MatmulSource } from './matmul-f32-source.js';
import { compare, Ladder, normalValues } from './measure.js';

Object.assign(globalThis, globals);
const [M = 4096, N = M, K = M] = process.argv.slice(2, 5).map(Number);
const toggles = process.argv[5] === 'unsafe' ? ['skip_validation', 'disable_robustness', 'disable_workgroup_init'] : [];
const gpu = create(toggles.length > 0 ? [`enable-dawn-features=${toggles.join()}`] : []);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('no adapter');
const device = await adapter.requestDevice({
  requiredFeatures: ['timestamp-query'],
  requiredLimits: {
    maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
    maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
    maxBufferSize: adapter.limits.maxBufferSize,
  },
});
console.log(adapter.info.description, toggles.join(), `[${M}, ${K}] by [${K}, ${N}]`);

const [valuesA, valuesB] = [normalValues(M * K), normalValues(K * N)];
const upload = (values: Float32Array<ArrayBuffer>) => {
  const buffer = device.createBuffer({
    size: values.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
};
const [a, b] = [upload(valuesA), upload(valuesB)];
const c = device.createBuffer({
  size: M * N * 4,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const params = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
device.queue.writeBuffer(params, 0, Uint32Array.of(M, N, K, 0));
const ladder = new Ladder(device);

/** Largest error over some columns of one row of C. */
async function errorOf(layout: F32MatmulVariant['layout'], row: number): Promise<number> {
  const got = await ladder.row(c, row, N);
  let worst = 0;
  for (let column = 0; column < N; column += 37) {
    let sum = 0;
    for (let k = 0; k < K; k++)
      sum +=
        (layout === 'TN' ? valuesA[k * M + row]! : valuesA[row * K + k]!) *
        (layout === 'NT' ? valuesB[column * K + k]! : valuesB[k * N + column]!);
    worst = Math.max(worst, Math.abs(sum - got[column]!));
  }
  return worst;
}

interface Candidate {
  readonly name: string;
  readonly variant: F32MatmulVariant;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Milliseconds until its pipeline was there. */
  readonly compiled: number;
  readonly tflops: number[];
  error: number;
}

async function prepare(name: string, variant: F32MatmulVariant): Promise<Candidate> {
  const began = performance.now();
  const module = device.createShaderModule({ code: f32MatmulSource(variant) });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const compiled = performance.now() - began;
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [a, b, c, params].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return { name, variant, pipeline, group, compiled, tflops: [], error: Number.NaN };
}

const times = Math.max(1, Math.min(200, Math.ceil((12 * 4096 ** 3) / (M * N * K)) >> (M < 1024 ? 7 : 0)));

/** GPU time of a pass of dispatches, in TFLOP/s. */
async function measure({ pipeline, group, variant }: Candidate): Promise<number> {
  const time = await ladder.time((pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(N / variant.BN, M / variant.BM);
  });
  return (2 * M * N * K * times) / time / 1000;
}

async function check(candidate: Candidate): Promise<void> {
  ladder.clear(c);
  await measure(candidate);
  const { layout } = candidate.variant;
  candidate.error = Math.max(await errorOf(layout, 1), await errorOf(layout, M - 3));
}

type Tiling = readonly [BM: number, BN: number, BK: number, TM: number, TN: number];
const usual: Tiling = [128, 128, 16, 2, 2];
const variants: F32MatmulVariant[] = [];
const add = (tiling: Tiling, more: Partial<F32MatmulVariant> = {}) => {
  const [BM, BN, BK, TM, TN] = tiling;
  variants.push({
    ...{ BM, BN, BK, TM, TN, buffers: 1, layout: 'NN', band: 0 },
    ...{ lanes: [4, 8], prefetch: 'capped', unroll: 16, ahead: true },
    ...more,
  });
};
const only = (['NN', 'NT', 'TN'] as const).find((layout) => layout === process.argv[6]);
if (only) {
  add(usual, { layout: only });
  for (const tiling of [
    [64, 128, 16, 2, 2],
    [128, 64, 16, 2, 2],
    [64, 64, 16, 2, 1],
  ] as const)
    add(tiling, { layout: only });
  add([32, 64, 16, 1, 1], { layout: only, prefetch: 'branch', unroll: 1, ahead: false });
}
for (const layout of only ? [] : (['NN', 'NT', 'TN'] as const)) {
  add(usual, { layout, lanes: undefined, prefetch: 'branch', unroll: 1, ahead: false });
  for (const prefetch of ['branch', 'capped'] as const) {
    for (const unroll of [2, 4, 8, 16]) add(usual, { layout, prefetch, unroll });
    for (const unroll of [4, 16]) add(usual, { layout, prefetch, unroll, ahead: false });
  }
  add([128, 128, 8, 2, 2], { layout, unroll: 8 });
  add([256, 128, 8, 4, 2], { layout, unroll: 8 });
  add([128, 256, 8, 2, 4], { layout, unroll: 8 });
  for (const unroll of [4, 16]) add([64, 128, 16, 2, 2], { layout, unroll });
  add([64, 64, 16, 1, 1], { layout, lanes: undefined, prefetch: 'branch', unroll: 1, ahead: false });
  for (const unroll of [2, 4, 16]) add([64, 64, 16, 1, 1], { layout, unroll });
  for (const unroll of [4, 16]) add([64, 64, 16, 2, 1], { layout, unroll });
  add([32, 64, 16, 1, 1], { layout, lanes: undefined, prefetch: 'branch', unroll: 1, ahead: false });
  for (const unroll of [4, 16]) add([32, 64, 16, 1, 1], { layout, unroll });
}
const candidates: Candidate[] = [];
for (const v of variants) {
  const name = `${v.layout} ${v.BM}x${v.BN}x${v.BK} ${4 * v.TM}x${4 * v.TN} lanes ${v.lanes?.join('x') ?? 'in a row'} buf${v.buffers} ${v.prefetch} unroll ${v.unroll}${v.ahead ? ' ahead' : ''} band${v.band}`;
  try {
    const candidate = await prepare(name, v);
    await check(candidate);
    candidates.push(candidate);
  } catch (error) {
    console.log(name, String(error).slice(0, 200));
  }
}
await compare(candidates, measure, ({ compiled }) => `  ${compiled.toFixed(0).padStart(4)} ms`);
device.destroy();
