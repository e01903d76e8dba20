// Attention on a GPU: forward, forward and backward, and decoding, each against what the device can do.
//   node bench/dist/attention.js [small]
import { type AttentionKernel, attention, decode } from '@heddle/attention';
import { compile, type Device, gradients, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const small = process.argv[2] === 'small';
const toggles = [
  'allow_unsafe_apis',
  'vulkan_enable_f16_on_nvidia',
  'skip_validation',
  'disable_robustness',
  'disable_workgroup_init',
];
const device = await openWebGpu({
  toggles: small ? ['allow_unsafe_apis'] : toggles,
  ...(process.env['VULKAN_LOADER'] ? { vulkanLoader: process.env['VULKAN_LOADER'] } : {}),
});
const measurements: Measurement[] = [];
const note = (what: string, value: number, unit: string, more: Partial<Measurement> = {}) =>
  measurements.push({ what, value, unit, adapter: device.description, ...more });

/** Milliseconds of one run of `step`, by the time that many take. */
async function time(step: () => Promise<unknown>, wait: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < 3; i++) await step();
  await wait();
  const rounds: number[] = [];
  const times = small ? 1 : 20;
  for (let round = 0; round < 5; round++) {
    const begin = performance.now();
    for (let i = 0; i < times; i++) await step();
    await wait();
    rounds.push((performance.now() - begin) / times);
  }
  return median(rounds);
}

async function random(device: Device, shape: readonly number[]): Promise<Tensor> {
  const size = shape.reduce((a, b) => a * b);
  const values = Float32Array.from(
    { length: size },
    (_, i) => ((Math.imul(i + size, 2654435761) >>> 8) % 257) / 128 - 1,
  );
  const x = device.tensor(values, { shape });
  const half = await x.cast('f16').realize();
  x.dispose();
  return half;
}

async function dense(name: string, B: number, H: number, S: number, D: number): Promise<void> {
  const [q, k, v] = [
    await random(device, [B, S, H, D]),
    await random(device, [B, S, H, D]),
    await random(device, [B, S, H, D]),
  ];
  const flops = (4 * B * H * S * S * D) / 2;
  const forward = compile((q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true }));
  let out: Tensor | undefined;
  const ms = await time(
    async () => {
      out = await forward(q!, k!, v!);
    },
    () => out!.slice(0, 0, 1).slice(1, 0, 1).data(),
  );
  note(`attention forward ${name}`, flops / ms / 1e9, 'TFLOP/s');
  if (process.env['EXPLAIN']) console.log(forward.explain());
  const planned = forward.plannedBytes();
  if (planned)
    note(`attention forward ${name}, bytes beyond inputs and outputs`, planned.peak, 'bytes', {
      ratio: planned.peak / (B * H * S * S * 2),
      against: 'score matrix',
    });
  forward.dispose();
  if (process.env['FORWARD_ONLY']) return;
  const both = compile((q: Tensor, k: Tensor, v: Tensor) =>
    gradients(attention(q, k, v, { causal: true }).cast('f32').sum(), [q, k, v]),
  );
  let grads: readonly Tensor[] = [];
  const total = await time(
    async () => {
      grads = await both(q!, k!, v!);
    },
    () => grads[0]!.slice(0, 0, 1).slice(1, 0, 1).data(),
  );
  note(`attention forward and backward ${name}`, (3.5 * flops) / total / 1e9, 'TFLOP/s');
  both.dispose();
  for (const x of [q, k, v]) x!.dispose();
}

/** One row of each of B sequences at S keys: the share of the bytes of k and v in what copying takes. */
async function decoding(kernel: AttentionKernel, B: number, S: number, H: number, K: number, D: number): Promise<void> {
  const blockSize = 16;
  const keys = await random(device, [B * S, K, D]);
  const values = await random(device, [B * S, K, D]);
  const [q, k, v] = [await random(device, [B, H, D]), await random(device, [B, K, D]), await random(device, [B, K, D])];
  const blocks = Int32Array.from({ length: (B * S) / blockSize }, (_, i) => (i * 7919) % ((B * S) / blockSize));
  const blockTable = device.tensor(blocks, { shape: [B, S / blockSize] });
  const lengths = device.tensor(new Int32Array(B).fill(S));
  const segments = device.tensor(Int32Array.from({ length: B }, (_, i) => i));
  const positions = device.tensor(new Int32Array(B).fill(S));
  const step = compile((q: Tensor, k: Tensor, v: Tensor) =>
    kernel.attend(q, k, v, { keys, values, blockTable, lengths, blockSize, maxLength: S }, { segments, positions }),
  );
  let out: Tensor | undefined;
  const ms = await time(
    async () => {
      out = await step(q!, k!, v!);
    },
    () => out!.slice(0, 0, 1).data(),
  );
  const bytes = 2 * B * S * K * D * 2;
  const copy = compile((x: Tensor) => x.mul(2));
  let copied: Tensor | undefined;
  const copyMs = await time(
    async () => {
      copied = await copy(keys);
    },
    () => copied!.slice(0, 0, 1).data(),
  );
  const bandwidth = (2 * B * S * K * D * 2) / copyMs;
  note(`decoding ${B} x ${S} keys H${H} K${K} D${D} f16`, bytes / ms / 1e6, 'GB/s', {
    ratio: bytes / ms / bandwidth,
    against: 'copy',
  });
  note('copy', bandwidth / 1e6, 'GB/s');
}

if (small) {
  await dense('B1 H2 S256 D64', 1, 2, 256, 64);
  await decoding(decode(), 2, 256, 8, 2, 64);
} else {
  await dense('causal f16 B4 H16 S2048 D64', 4, 16, 2048, 64);
  await dense('causal f16 B2 H32 S4096 D128', 2, 32, 4096, 128);
  await decoding(decode(), 32, 8192, 32, 8, 64);
}
report(measurements);
await device.dispose();
