// What a replayed plan of small kernels costs the host: encoding and submitting, against the same commands recorded by hand.
//   DAWN_TOGGLES=skip_validation node bench/dist/replay.js [REPLAYS]
import { compile, type Device, defineOp, type Op, recordOne, spreadWorkgroups, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { create } from 'webgpu';
import { type Measurement, median, report } from './results.js';

const kernels = 200;
const replays = Number(process.argv[2] ?? 400);
const rows = 64;
const toggles = process.env['DAWN_TOGGLES']?.split(',');

/** A kernel that shares its dispatch with nothing: it reads one buffer and writes another. */
const link: Op<Readonly<Record<never, never>>> = defineOp({
  name: 'link',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  lower: {
    webgpu: {
      kernels: ({ inputs: [x] }) => [
        {
          label: 'link',
          buffers: [
            { name: 'x', input: 0 },
            { name: 'y', output: 0 },
          ],
          parameters: { count: x!.shape[0]! },
          body: `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x < params.count) { y_set(at.x, x_at(at.x) * 0.5 + 1.0); }
}`,
          workgroups: (size) => spreadWorkgroups(Math.ceil(size(x!.shape[0]!) / 64)),
        },
      ],
    },
  },
});

const chain = (x: Tensor) => {
  let y = x;
  for (let i = 0; i < kernels; i++) y = recordOne(link, [y], {});
  return y;
};

/** Microseconds a kernel of the calls up to their submit, and of whole steps where several are in flight. */
interface Cost {
  readonly host: number;
  readonly step: number;
}

async function costOf(run: (i: number) => unknown, settle: () => Promise<unknown>): Promise<Cost> {
  const host: number[] = [];
  const steps: number[] = [];
  for (let i = 0; i < replays; ) {
    const begin = performance.now();
    for (let k = 0; k < 8; k++, i++) {
      const before = performance.now();
      const running = run(i);
      host.push(performance.now() - before);
      await running;
    }
    await settle();
    steps.push((performance.now() - begin) / 8);
  }
  const us = (list: number[]) => (median(list.slice(Math.floor(list.length / 4))) * 1000) / kernels;
  return { host: us(host), step: us(steps) };
}

/** A plan of fixed sizes, or of a size that is another one in each step. */
async function replayed(device: Device, changing: boolean): Promise<Cost & { readonly gpu: number | undefined }> {
  const step = compile(chain, {
    device,
    inputs: [{ shape: [changing ? 'T' : rows] }],
    ...(changing && { symbols: { T: rows } }),
  });
  const inputs = Array.from({ length: 8 }, (_, i) => new Float32Array(changing ? rows - i : rows));
  let last: Tensor | undefined;
  const run = async (i: number) => {
    last = await step(inputs[i % 8]!);
  };
  await run(0);
  const cost = await costOf(run, () => last!.data());
  if (step.kernelCount() !== kernels) throw new Error(`expected ${kernels} kernels, got ${step.kernelCount()}`);
  let gpu: number | undefined;
  try {
    const times = await step.profile([inputs[0]!]);
    gpu = times.reduce((sum, { microseconds }) => sum + microseconds, 0) / kernels;
  } catch (error) {
    console.log(`no GPU times: ${(error as Error).message}`);
  }
  step.dispose();
  return { ...cost, gpu };
}

/** The same dispatches on the bare API: what no executor can go below. */
async function byHand(device: GPUDevice): Promise<Cost> {
  const buffer = (usage: number, size = 256) => device.createBuffer({ size, usage });
  const [a, b, params, read] = [buffer(0x8c), buffer(0x8c), buffer(0x48, 16), buffer(0x9)];
  device.queue.writeBuffer(params, 0, Uint32Array.of(rows, 0, 0, 0));
  const code = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> count: vec4<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x < count.x) { y[at.x] = x[at.x] * 0.5 + 1.0; }
}`;
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const groups = [
    [a, b],
    [b, a],
  ].map((buffers) =>
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [...buffers, params].map((each, binding) => ({ binding, resource: { buffer: each! } })),
    }),
  );
  const values = new Float32Array(rows);
  const { queue } = device;
  const run = () => {
    queue.writeBuffer(a, 0, values);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (let i = 0; i < kernels; i++) {
      pass.setBindGroup(0, groups[i % 2]!);
      pass.dispatchWorkgroups(1, 1, 1);
    }
    pass.end();
    queue.submit([encoder.finish()]);
  };
  const settle = async () => {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(a, 0, read, 0, 256);
    queue.submit([encoder.finish()]);
    await read.mapAsync(1);
    read.unmap();
  };
  const cost = await costOf(run, settle);
  for (const each of [a, b, params, read]) each.destroy();
  return cost;
}

// one GPU object for two devices: the executor's, and one on which commands are recorded by hand
const gpu = create([
  `enable-dawn-features=${['allow_unsafe_apis', ...(toggles ?? [])].join(',')}`,
  'disable-dawn-features=timestamp_quantization',
]);
const device = await openWebGpu({ gpu });
const bare = await (await gpu.requestAdapter())!.requestDevice();
const adapter = `${device.name}: ${device.description}${toggles ? ` (${toggles.join(' ')})` : ''}`;
const measurements: Measurement[] = [];
const hand = await byHand(bare);
const note = (what: string, value: number, limit?: number) =>
  measurements.push({
    what: `${what}, ${kernels} dependent small kernels`,
    value,
    unit: 'us a kernel',
    adapter,
    ...(limit !== undefined && { ratio: value / limit, against: 'the same commands by hand' }),
  });
note('by hand: host time up to submit', hand.host);
note('by hand: whole step, 8 in flight', hand.step);
for (const changing of [false, true]) {
  const { host, step, gpu } = await replayed(device, changing);
  const name = changing ? 'replay with a size that changes' : 'replay';
  note(`${name}: host time up to submit`, host, hand.host);
  note(`${name}: whole step, 8 in flight`, step, hand.step);
  if (gpu !== undefined) note(`${name}: GPU time`, gpu);
}
report(measurements);
await device.dispose();
bare.destroy();
