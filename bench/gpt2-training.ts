// Training steps of a GPT-2 124M with random weights, batch 8 x 1024, f32, AdamW: tokens a second, memory, and the time of
// each kernel, against PyTorch eager (peers/torch_gpt2.py).
//   BENCH_PEERS=FILE node bench/dist/gpt2-training.js [tiny|small] [ROWS OF LOGITS AT A TIME]
import { readFileSync } from 'node:fs';
import type { KernelTime } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { adamw, createTrainStep } from '@heddle/trainer';
import { type Gpt2Shape, gpt2, gpt2Small, randomGpt2Weights } from './gpt2-model.js';
import { median, report } from './results.js';

const tiny = process.argv[2] === 'tiny';
const shape: Gpt2Shape = tiny ? { V: 320, P: 64, E: 64, N: 2, H: 4 } : gpt2Small;
const [B, L] = tiny ? [2, 64] : [8, 1024];
const name = tiny ? 'tiny GPT-2' : 'GPT-2 124M';
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const loader = process.env['VULKAN_LOADER'];
const device = await openWebGpu({ ...(toggles && { toggles }), ...(loader && { vulkanLoader: loader }) });
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;

const chunkRows = Number(process.argv[3] ?? (tiny ? 64 : 1024));
const model = gpt2(shape, await randomGpt2Weights(device, shape), chunkRows);
const step = createTrainStep({
  model,
  loss: (loss) => loss,
  optimizer: adamw({ learningRate: 1e-4 }),
});
const tokens = Int32Array.from({ length: B * L }, (_, i) => (i * 7919 + ((i * i) % 1009)) % Math.min(shape.V, 50_257));
const batch = {
  tokens: { data: tokens, shape: [B, L] },
  targets: { data: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % tokens.length]!), shape: [B, L] },
};

const began = performance.now();
const first = await step(batch);
console.log(`first step after ${((performance.now() - began) / 1000).toFixed(1)} s: loss ${first.loss.toFixed(4)}`);
const times: number[] = [];
let loss = first.loss;
for (let round = 0; round < 6; round++) {
  const from = performance.now();
  const submitted = [];
  for (let i = 0; i < 4; i++) submitted.push(await step.submit(batch));
  ({ loss } = await submitted.at(-1)!.result);
  times.push((performance.now() - from) / 4 / 1000);
}
if (!(loss < first.loss)) throw new Error(`the loss went from ${first.loss} to ${loss}`);
const seconds = median(times.slice(1));
console.log(`after ${step.steps} steps: loss ${loss.toFixed(4)}; ${(seconds * 1000).toFixed(1)} ms a step`);

const planned = step.plannedBytes()!;
const { live, peak } = device.memory();
const gib = (bytes: number) => bytes / 2 ** 30;
const speed = (B * L) / seconds;
const against = (key: string, value: number) => {
  const peer = peers[key];
  return peer === undefined ? {} : { ratio: value / peer, against: 'PyTorch eager fp32' };
};
report([
  {
    what: `${name} training, batch ${B} x ${L}, f32`,
    value: speed,
    unit: 'tok/s',
    adapter,
    ...against('tok/s', speed),
  },
  {
    what: `${name} training: activations and gradients, planned`,
    value: gib(planned.peak),
    unit: 'GiB',
    adapter,
  },
  { what: `${name} training: peak memory`, value: gib(peak), unit: 'GiB', adapter, ...against('peak GiB', gib(peak)) },
]);
console.log(`live ${gib(live).toFixed(2)} GiB`);
if (process.env['BENCH_EXPLAIN']) console.log(step.explain());
printProfile(await step.profile(batch));
step.dispose();
for (const weight of Object.values(model.parameters)) weight.dispose();
await device.dispose();

/** Time by kernel, the longest first. */
function printProfile(kernels: readonly KernelTime[]): void {
  const sums = new Map<string, { count: number; us: number }>();
  for (const { kernel, microseconds } of kernels) {
    const sum = sums.get(kernel) ?? { count: 0, us: 0 };
    sums.set(kernel, { count: sum.count + 1, us: sum.us + microseconds });
  }
  const total = kernels.reduce((sum, { microseconds }) => sum + microseconds, 0);
  console.log(`${kernels.length} kernels, ${(total / 1000).toFixed(1)} ms`);
  const rows = [...sums].sort(([, a], [, b]) => b.us - a.us).slice(0, 40);
  for (const [kernel, { count, us }] of rows)
    console.log(`${(us / 1000).toFixed(2).padStart(9)} ms ${String(count).padStart(5)} x  ${kernel.slice(0, 90)}`);
}
