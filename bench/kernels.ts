// Products of matrices and bandwidth-bound operations against PyTorch on the same GPU (peers/torch_kernels.py).
//   BENCH_PEERS=FILE node bench/dist/kernels.js [FILTER]
import { readFileSync } from 'node:fs';
import { type CompiledFunction, compile, type Device, matmul, rmsNorm, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const filter = process.argv[2] ?? '';
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const measurements: Measurement[] = [];

/** Random values made on the device: uploading gigabytes would take longer than measuring. */
async function random(on: Device, shape: readonly number[], dtype: 'f32' | 'f16'): Promise<Tensor> {
  const count = shape.reduce((a, b) => a * b, 1);
  const wave = on.arange(count, 'f32').mul(12.9898).sin().reshape(shape);
  return wave.cast(dtype).realize();
}

/** GPU seconds of one run by timestamps around each kernel; the median of some runs. */
async function secondsOf(step: CompiledFunction<[], Tensor[]>): Promise<number> {
  await step();
  const runs: number[] = [];
  for (let run = 0; run < 9; run++) {
    const times = await step.profile([]);
    runs.push(times.reduce((sum, { microseconds }) => sum + microseconds, 0) / 1e6);
  }
  return median(runs.slice(2));
}

async function product(name: string, dtype: 'f32' | 'f16', m: number, n: number, k: number): Promise<void> {
  if (!name.includes(filter)) return;
  const layout = name.split(' ')[1]!;
  const [transposeA, transposeB] = [layout === 'TN', layout === 'NT'];
  const copies = Math.max(1, Math.min(8, Math.floor(2 ** 28 / (n * k * (dtype === 'f16' ? 2 : 4)))));
  const a = await random(device, transposeA ? [k, m] : [m, k], dtype);
  const bs: Tensor[] = [];
  for (let i = 0; i < copies; i++) bs.push(await random(device, transposeB ? [n, k] : [k, n], dtype));
  const step = compile(() => bs.map((b) => matmul(a, b, { transposeA, transposeB })), { device, name });
  const seconds = (await secondsOf(step)) / copies;
  const tflops = (2 * m * n * k) / seconds / 1e12;
  const peer = peers[name];
  measurements.push({
    what: `matmul ${name}`,
    value: tflops,
    unit: 'TFLOP/s',
    adapter,
    ...(peer && { ratio: tflops / peer, against: 'PyTorch' }),
  });
  step.dispose();
  for (const tensor of [a, ...bs]) tensor.dispose();
  await device.trim();
}

async function bandwidth(name: string, bytesPerValue: number, make: (x: Tensor) => Tensor): Promise<void> {
  if (!name.includes(filter)) return;
  const count = 2 ** 26;
  const x = await random(device, [count / 4096, 4096], 'f32');
  const step = compile(() => [make(x)], { device, name });
  const seconds = await secondsOf(step);
  const rate = (count * bytesPerValue) / seconds / 1e9;
  const peer = peers['copy GB/s'];
  measurements.push({
    what: `${name}, 64M values`,
    value: rate,
    unit: 'GB/s',
    adapter,
    ...(peer && { ratio: rate / peer, against: 'PyTorch copy' }),
  });
  step.dispose();
  x.dispose();
  await device.trim();
}

for (const size of [1024, 2048, 4096, 8192]) await product(`f16 NN ${size}`, 'f16', size, size, size);
await product('f16 NT 4096', 'f16', 4096, 4096, 4096);
await product('f16 TN 4096', 'f16', 4096, 4096, 4096);
for (const m of [32, 512])
  for (const layout of ['NN', 'NT']) await product(`f16 ${layout} ${m}x4096x4096`, 'f16', m, 4096, 4096);
await product('f32 NN 4096', 'f32', 4096, 4096, 4096);
await product('f32 NT 4096', 'f32', 4096, 4096, 4096);
await product('f16 NT 1x14336x4096', 'f16', 1, 14336, 4096);
await product('f16 NT 1x4096x4096', 'f16', 1, 4096, 4096);
await product('f16 NT 8x14336x4096', 'f16', 8, 14336, 4096);
await bandwidth('six fused elementwise operations', 8, (x) => x.mul(2).add(1).tanh().mul(x).sub(0.5).maximum(0));
await bandwidth('one multiplication', 8, (x) => x.mul(2));
await bandwidth('softmax', 8, (x) => x.softmax());
await bandwidth('RMS norm', 8, (x) => rmsNorm(x, device.ones([4096])));
report(measurements);
await device.dispose();
