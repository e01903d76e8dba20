// Fine-tuning a random Llama of a billion parameters whose weights are in blocks (q4_0): an adapter of rank 16 on every linear
// layer, batch 4 x 512, against LoRA over bf16 weights in PyTorch (peers/torch_lora.py).
//   BENCH_PEERS=FILE node bench/dist/qlora.js [q4_0|q8_0] [tiny] [plain] [profile]     plain: no block is computed again
import { readFileSync } from 'node:fs';
import { loadModel } from '@heddle/llm';
import { nextTokenLoss, trainableLm } from '@heddle/llm/training';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { adamw, createTrainStep } from '@heddle/trainer';
import { createLora } from '@heddle/trainer/lora';
import { randomGgufLlama } from './random-gguf.js';
import { llama1b } from './random-llama.js';
import { median, report } from './results.js';

const tiny = process.argv.includes('tiny');
const plain = process.argv.includes('plain');
const kind = process.argv.includes('q8_0') ? 'q8_0' : 'q4_0';
const sizes = tiny
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : llama1b;
const [B, L] = tiny ? [2, 32] : [4, 512];
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const loader = process.env['VULKAN_LOADER'];
const device = await openWebGpu({ ...(toggles && { toggles }), ...(loader && { vulkanLoader: loader }) });
const adapterName = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;

const file = randomGgufLlama(sizes, kind);
const model = await loadModel(
  { label: 'random', open: (name) => (name === 'model.gguf' ? file : undefined) },
  { device, activations: 'f16' },
);
const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const adapter = await createLora(device, model.parameters, { rank: 16, targets });
const step = createTrainStep({
  model: trainableLm(model, { adapter }),
  loss: nextTokenLoss,
  optimizer: adamw({ learningRate: 1e-3 }),
  checkpointing: plain ? 'none' : 'every',
});
const tokens = Int32Array.from({ length: B * L }, (_, i) => (i * 7919 + ((i * i) % 1009)) % sizes.vocabulary);
const batch = {
  tokens: { data: tokens, shape: [B, L] },
  targets: { data: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % tokens.length]!), shape: [B, L] },
};
const began = performance.now();
const first = await step(batch);
console.log(`first step after ${((performance.now() - began) / 1000).toFixed(1)} s: loss ${first.loss.toFixed(4)}`);
const times: number[] = [];
let { loss, applied, gradientNorm, lossScale } = first;
for (let round = 0; round < 4; round++) {
  const from = performance.now();
  const submitted = [];
  for (let i = 0; i < 3; i++) submitted.push(await step.submit(batch));
  ({ loss, applied, gradientNorm, lossScale } = await submitted.at(-1)!.result);
  times.push((performance.now() - from) / 3 / 1000);
}
if (!(loss < first.loss))
  throw new Error(
    `the loss went from ${first.loss} to ${loss}: norm ${gradientNorm}, scale ${lossScale}, ${applied ? 'applied' : 'skipped'}`,
  );
const speed = (B * L) / median(times.slice(1));
const peak = device.memory().peak / 2 ** 30;
const what = `${tiny ? 'tiny Llama' : 'Llama 1B'}, ${kind}, LoRA of rank 16, batch ${B} x ${L}${plain ? '' : ', every block computed again'}`;
const against = (key: string, value: number) =>
  peers[key] === undefined ? {} : { ratio: value / peers[key], against: 'LoRA in PyTorch eager bf16' };
report([
  { what, value: speed, unit: 'tok/s', adapter: adapterName, ...against('tok/s', speed) },
  { what: `${what}: peak memory`, value: peak, unit: 'GiB', adapter: adapterName, ...against('peak GiB', peak) },
]);
if (process.argv.includes('profile')) {
  const sums = new Map<string, number>();
  for (const { kernel, microseconds } of await step.profile(batch))
    sums.set(kernel, (sums.get(kernel) ?? 0) + microseconds);
  for (const [kernel, us] of [...sums].sort(([, a], [, b]) => b - a).slice(0, 20))
    console.log(`${(us / 1000).toFixed(2).padStart(9)} ms  ${kernel.slice(0, 90)}`);
}
step.dispose();
adapter.dispose();
await model.dispose();
await device.dispose();
