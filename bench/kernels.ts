// Products of matrices and bandwidth-bound operations against PyTorch on the same GPU (peers/torch_kernels.py).
//   BENCH_PEERS=FILE node bench/dist/kernels.js [FILTER]
import { readFileSync } from 'node:fs';
import {
  type CompiledFunction,
  compile,
  type Device,
  gradients,
  layerNorm,
  matmul,
  randomNormal,
  rmsNorm,
  softmax,
  type Tensor,
  take,
} from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { adamw } from '@heddle/trainer';
import { gpt2Small, gpt2Weights } from './gpt2-model.js';
import { type Measurement, median, report } from './results.js';

const filter = process.argv[2] ?? '';
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const measurements: Measurement[] = [];

let seed = 0;
/** Values of the normal distribution, as the peer's: what a product draws, and with it the clock, depends on them. */
const random = (on: Device, shape: readonly number[], dtype: 'f32' | 'f16'): Promise<Tensor> =>
  randomNormal(on, shape, seed++, { dtype }).realize();

/** GPU seconds of the kernels of one run whose labels match, by timestamps around each; the median of some runs, once the clocks have settled. */
async function secondsOf(step: CompiledFunction<[], unknown>, labels = /./): Promise<number> {
  const runs: number[] = [];
  const until = performance.now() + 500;
  while (runs.length < 9 || performance.now() < until) {
    const times = (await step.profile([])).filter(({ kernel }) => labels.test(kernel));
    runs.push(times.reduce((sum, { microseconds }) => sum + microseconds, 0) / 1e6);
  }
  return median(runs.slice(-7));
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

/** Bytes that must move a second, against a copy. */
function reportBandwidth(what: string, bytes: number, seconds: number): void {
  const rate = bytes / seconds / 1e9;
  const peer = peers['copy GB/s'];
  measurements.push({
    what,
    value: rate,
    unit: 'GB/s',
    adapter,
    ...(peer && { ratio: rate / peer, against: 'PyTorch copy' }),
  });
}

async function bandwidth(name: string, bytesPerValue: number, make: (x: Tensor) => Tensor): Promise<void> {
  if (!name.includes(filter)) return;
  const count = 2 ** 26;
  const x = await random(device, [count / 4096, 4096], 'f32');
  const step = compile(() => [make(x)], { device, name });
  reportBandwidth(`${name}, 64M values`, count * bytesPerValue, await secondsOf(step));
  step.dispose();
  x.dispose();
  await device.trim();
}

/** The gradient kernels of a function of rows [N, 4096] and a weight [4096]: they read x and what comes back, and write one. */
async function backward(name: string, labels: RegExp, f: (x: Tensor, weight: Tensor) => Tensor): Promise<void> {
  if (!name.includes(filter)) return;
  const [count, width] = [2 ** 26, 4096];
  const [x, g] = [
    await random(device, [count / width, width], 'f32'),
    await random(device, [count / width, width], 'f32'),
  ];
  const weight = await random(device, [width], 'f32');
  const step = compile(() => gradients(f(x, weight).mul(g).sum(), name.includes('norm') ? [x, weight] : [x]), {
    device,
    name,
  });
  reportBandwidth(`${name}, 64M values`, count * 12, await secondsOf(step, labels));
  step.dispose();
  for (const tensor of [x, g, weight]) tensor.dispose();
  await device.trim();
}

/** AdamW over `sizes` values: parameter, moments and gradient are read, the first three written. */
async function optimizer(name: string, sizes: readonly number[]): Promise<void> {
  if (!name.includes(filter)) return;
  const parameters = sizes.map((size, i) => ({ name: `p${i}`, value: device.zeroVariable([size]) }));
  const moments = sizes.flatMap((size) => [device.zeroVariable([size]), device.zeroVariable([size])]);
  const slopes: Tensor[] = [];
  for (const size of sizes) slopes.push(await random(device, [size], 'f32'));
  const { scalars, update } = adamw({ learningRate: 1e-4, decays: () => true });
  const [firstMoments, secondMoments] = [0, 1].map((part) => sizes.map((_, i) => moments[2 * i + part]!));
  const step = compile(
    () => {
      const state = { firstMoments: firstMoments!, secondMoments: secondMoments! };
      const next = update(slopes, state, parameters, { scalars: scalars(0).map((value) => device.full([], value)) });
      return parameters.map(({ value }, i) => [
        value.assign(next.parameters[i]!),
        firstMoments![i]!.assign(next.state.firstMoments[i]!),
        secondMoments![i]!.assign(next.state.secondMoments[i]!),
      ]);
    },
    { device, name },
  );
  const seconds = await secondsOf(step as CompiledFunction<[], unknown>);
  const count = sizes.reduce((a, b) => a + b, 0);
  reportBandwidth(`${name}, ${step.kernelCount()} kernels`, 28 * count, seconds);
  step.dispose();
  for (const tensor of [...parameters.map(({ value }) => value), ...moments, ...slopes]) tensor.dispose();
  await device.trim();
}

/** The gradient with respect to an embedding table: every value of it is written, and each token's row is read. */
async function embeddingGradient(rows: number, tokens: number, width: number): Promise<void> {
  const name = `embedding gradient ${tokens} tokens to [${rows}, ${width}]`;
  if (!name.includes(filter)) return;
  const g = await random(device, [tokens, width], 'f32');
  const ids = device.tensor(Int32Array.from({ length: tokens }, (_, i) => ((i * i) % 7919) * 6 + (i % 6)));
  const table = device.zeroVariable([rows, width]);
  const step = compile(() => gradients(take(table, ids).mul(g).sum(), [table]), { device, name });
  reportBandwidth(name, 4 * width * (rows + tokens), await secondsOf(step, /scatterAdd|sort/));
  step.dispose();
  for (const tensor of [g, ids, table]) tensor.dispose();
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
await bandwidth('layer norm', 8, (x) => layerNorm(x, device.ones([4096]), device.zeros([4096])));
await backward('RMS norm backward by x and weight', /ormGradient/, (x, weight) => rmsNorm(x, weight));
await backward('layer norm backward by x and weight', /ormGradient/, (x, weight) => layerNorm(x, weight));
await backward('softmax backward', /softmaxGradient/, (x) => softmax(x));
await optimizer('AdamW, 64M values', [2 ** 26]);
await optimizer(
  'AdamW, the weights of GPT-2 124M',
  Object.values(gpt2Weights(gpt2Small)).map((s) => s.reduce((a, b) => a * b)),
);
await embeddingGradient(50_257, 8192, 768);
report(measurements);
await device.dispose();
