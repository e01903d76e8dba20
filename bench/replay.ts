// What a replayed plan of small kernels costs the host: encoding and submitting, against the same commands recorded by hand in turn.
//   DAWN_TOGGLES=skip_validation node bench/dist/replay.js [REPLAYS]
import { compile, type Device, defineOp, type Op, recordOne, spreadWorkgroups, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { create } from 'webgpu';
import { type Measurement, report } from './results.js';

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
          threads: 64,
          write: ({ at, set, size }) => ({
            main: `  let i = w.x * 64u + l;
  if (i < ${size.count}) { ${set.y}(i, ${at.x}(i) * 0.5 + 1.0); }`,
          }),
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

/** Something whose steps are timed. */
interface Subject {
  readonly name: string;
  run(i: number): unknown;
  /** Waits until the device is through. */
  settle(): Promise<unknown>;
  readonly gpu?: number | undefined;
  readonly dispose: () => void;
}

const inFlight = 8;

/**
 * Times groups of steps of each subject in turn, so that a busy host is busy for all of them: the calls up to their submit,
 * and whole steps with several in flight.
 */
async function timesOf(subjects: readonly Subject[]): Promise<{ readonly host: number[]; readonly step: number[] }[]> {
  const times = subjects.map(() => ({ host: [] as number[], step: [] as number[] }));
  for (let i = 0; i < replays; i += inFlight)
    for (const [s, { run, settle }] of subjects.entries()) {
      const begin = performance.now();
      for (let k = 0; k < inFlight; k++) {
        const before = performance.now();
        const running = run(i + k);
        times[s]!.host.push(performance.now() - before);
        await running;
      }
      await settle();
      times[s]!.step.push((performance.now() - begin) / inFlight);
    }
  return times;
}

/** A plan of fixed sizes, or of a size that is another one in each step. */
async function replayed(device: Device, changing: boolean): Promise<Subject> {
  const step = compile(chain, {
    device,
    inputs: [{ shape: [changing ? 'T' : rows] }],
    ...(changing && { symbols: { T: rows } }),
  });
  const inputs = Array.from({ length: inFlight }, (_, i) => new Float32Array(changing ? rows - i : rows));
  let last: Tensor | undefined;
  const run = async (i: number) => {
    last = await step(inputs[i % inFlight]!);
  };
  await run(0);
  if (step.kernelCount() !== kernels) throw new Error(`expected ${kernels} kernels, got ${step.kernelCount()}`);
  let gpu: number | undefined;
  try {
    const times = await step.profile([inputs[0]!]);
    gpu = times.reduce((sum, { microseconds }) => sum + microseconds, 0) / kernels;
  } catch (error) {
    console.log(`no GPU times: ${(error as Error).message}`);
  }
  const name = changing ? 'replay with a size that changes' : 'replay';
  return { name, run, settle: () => last!.data(), gpu, dispose: () => step.dispose() };
}

/** The same dispatches on the bare API: what no executor can go below. */
async function byHand(device: GPUDevice): Promise<Subject> {
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
  const dispose = () => {
    for (const each of [a, b, params, read]) each.destroy();
  };
  return { name: 'by hand', run, settle, dispose };
}

// one GPU object for two devices: the executor's, and one on which commands are recorded by hand
const gpu = create([
  `enable-dawn-features=${['allow_unsafe_apis', ...(toggles ?? [])].join(',')}`,
  'disable-dawn-features=timestamp_quantization',
]);
const device = await openWebGpu({ gpu });
const bare = await (await gpu.requestAdapter())!.requestDevice();
const adapter = `${device.name}: ${device.description}${toggles ? ` (${toggles.join(' ')})` : ''}`;
const subjects = [await byHand(bare), await replayed(device, false), await replayed(device, true)];
await timesOf(subjects);
const all = await timesOf(subjects);
const us = (list: readonly number[], part: number) =>
  ([...list].sort((a, b) => a - b)[Math.floor(list.length * part)]! * 1000) / kernels;
const measurements: Measurement[] = subjects.flatMap(({ name, gpu }, s) => {
  const figure = (what: string, of: 'host' | 'step', part: number): Measurement => ({
    what: `${name}: ${what}, ${kernels} dependent small kernels`,
    value: us(all[s]![of], part),
    unit: 'us a kernel',
    adapter,
    ...(s > 0 && { ratio: us(all[s]![of], part) / us(all[0]![of], part), against: 'the same commands by hand' }),
  });
  return [
    figure('host time up to submit, p50', 'host', 0.5),
    figure('host time up to submit, p10', 'host', 0.1),
    figure(`whole step, ${inFlight} in flight, p50`, 'step', 0.5),
    ...(gpu === undefined
      ? []
      : [{ what: `${name}: GPU time, ${kernels} dependent small kernels`, value: gpu, unit: 'us a kernel', adapter }]),
  ];
});
for (const { dispose } of subjects) dispose();
report(measurements);
await device.dispose();
bare.destroy();
