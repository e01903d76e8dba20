// Attention on a GPU: forward, forward and backward, score functions, memory, and decoding, each against PyTorch
// (peers/torch_attention.py) or what the device can do.
//   python3 bench/peers/torch_attention.py > FILE, then BENCH_PEERS=FILE node bench/dist/attention.js [small]
import { readFileSync } from 'node:fs';
import {
  type AttentionKernel,
  type AttentionSpec,
  attention,
  decode,
  type MaskMod,
  type ScoreMod,
} from '@heddle/attention';
import { type CompiledFunction, compile, gradients, randomNormal, type Tensor, take } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const small = process.argv[2] === 'small';
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const vulkanLoader = process.env['VULKAN_LOADER'];
const device = await openWebGpu({ ...(toggles ? { toggles } : {}), ...(vulkanLoader ? { vulkanLoader } : {}) });
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const measurements: Measurement[] = [];
const note = (what: string, value: number, unit: string, against?: string, limit?: number) => {
  measurements.push({
    what,
    value,
    unit,
    adapter,
    ...(against && limit !== undefined ? { ratio: value / limit, against } : {}),
  });
  return value;
};

/** Milliseconds that the kernels of a run take, by timestamps around each, once the clocks have settled. */
async function time(step: CompiledFunction<Tensor[], unknown>, ...inputs: Tensor[]): Promise<number> {
  const until = performance.now() + (small ? 0 : 400);
  const runs: number[] = [];
  do {
    for (let i = 0; i < (small ? 1 : 10); i++) for (const x of [await step(...inputs)].flat() as Tensor[]) x.dispose();
    const times = await step.profile(inputs);
    runs.push(times.reduce((sum, { microseconds }) => sum + microseconds, 0) / 1000);
  } while (performance.now() < until || runs.length < 9);
  return median(runs.slice(-9));
}

const random = (seed: number, shape: readonly number[]): Promise<Tensor> =>
  randomNormal(device, shape, seed, { dtype: 'f16' }).realize();

async function dense(B: number, H: number, S: number, D: number): Promise<void> {
  const name = `B${B} H${H} S${S} D${D}`;
  const [q, k, v, g] = (await Promise.all([1, 2, 3, 4].map((seed) => random(seed, [B, S, H, D])))) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const flops = 2 * B * H * S * S * D;
  const forwardTime = async (spec: AttentionSpec) => {
    const forward = compile((q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true, ...spec }));
    const ms = await time(forward, q, k, v);
    forward.dispose();
    return ms;
  };
  const plain = await forwardTime({});
  note(
    `attention forward causal f16 ${name}`,
    flops / plain / 1e9,
    'TFLOP/s',
    'PyTorch flash',
    peers[`forward ${name}`],
  );
  const linear: ScoreMod = (score, { q, k }) => score.sub(q.sub(k).cast('f32').mul(0.05));
  const own = await forwardTime({ scoreMod: linear });
  note(`attention with a scoreMod, causal f16 ${name}`, own, 'ms', 'without it', plain);

  /** With the gradients with respect to `also`, which the spec uses. */
  const bothTime = async (specOf: (...also: Tensor[]) => AttentionSpec, ...also: Tensor[]) => {
    const both = compile((q: Tensor, k: Tensor, v: Tensor, g: Tensor, ...also: Tensor[]) =>
      gradients(
        attention(q, k, v, { causal: true, ...specOf(...also) })
          .mul(g)
          .sum(),
        [q, k, v, ...also],
      ),
    );
    const ms = await time(both, q, k, v, g, ...also);
    both.dispose();
    return ms;
  };
  const ms = await bothTime(() => ({}));
  note(
    `attention forward and backward causal f16 ${name}`,
    (3.5 * flops) / ms / 1e9,
    'TFLOP/s',
    'PyTorch flash',
    peers[`forward and backward ${name}`],
  );
  const without = 'without it';
  const what = `attention forward and backward causal f16 ${name}, with`;
  const capped: ScoreMod = (score, places) => linear(score, places).div(20).tanh().mul(20);
  note(`${what} a scoreMod`, await bothTime(() => ({ scoreMod: linear })), 'ms', without, ms);
  note(`${what} a scoreMod and its slopes`, await bothTime(() => ({ scoreMod: capped })), 'ms', without, ms);
  const buckets = 32;
  const bucketed = (table: Tensor): AttentionSpec => ({
    scoreMod: (score, { h, q, k }) =>
      score.add(
        take(
          table,
          h.mul(buckets).add(
            q
              .sub(k)
              .maximum(0)
              .minimum(buckets - 1),
          ),
        ),
      ),
  });
  const table = await randomNormal(device, [H * buckets], 5).realize();
  note(
    `${what} a learned bias and the gradient with respect to it`,
    await bothTime(bucketed, table),
    'ms',
    without,
    ms,
  );
  const document = await device.tensor(Int32Array.from({ length: S }, (_, i) => Math.floor((i * 8) / S))).realize();
  const maskMod: MaskMod = ({ q, k }) => take(document, q).equal(take(document, k));
  note(`${what} a maskMod of 8 documents`, await bothTime(() => ({ maskMod })), 'ms', without, ms);
  for (const x of [q, k, v, g]) x.dispose();
}

/** Bytes that a plan takes beyond its inputs and outputs. */
async function memory(H: number, S: number, D: number): Promise<void> {
  const [q, k, v] = await Promise.all([1, 2, 3].map((seed) => random(seed, [1, S, H, D])));
  const forward = compile((q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true }));
  await (await forward(q!, k!, v!)).slice(1, 0, 1).data();
  const planned = forward.plannedBytes();
  if (planned) {
    const beyond = planned.peak - H * S * D * 2;
    note(
      `attention forward f16 H${H} S${S} D${D}, bytes beyond inputs and outputs`,
      beyond,
      'bytes',
      'score matrix',
      H * S * S * 2,
    );
  }
  forward.dispose();
  for (const x of [q, k, v]) x!.dispose();
}

/** One row of each of B sequences at S keys: the bytes of k and v in the time that it takes, against copying. */
async function decoding(kernel: AttentionKernel, B: number, S: number, H: number, K: number, D: number): Promise<void> {
  const blockSize = 16;
  const [keys, values] = [await random(1, [B * S, K, D]), await random(2, [B * S, K, D])];
  const [q, k, v] = [await random(3, [B, H, D]), await random(4, [B, K, D]), await random(5, [B, K, D])];
  const blocks = Int32Array.from({ length: (B * S) / blockSize }, (_, i) => (i * 7919) % ((B * S) / blockSize));
  const blockTable = device.tensor(blocks, { shape: [B, S / blockSize] });
  const lengths = device.tensor(new Int32Array(B).fill(S));
  const segments = device.tensor(Int32Array.from({ length: B }, (_, i) => i));
  const positions = device.tensor(new Int32Array(B).fill(S));
  const step = compile((q: Tensor, k: Tensor, v: Tensor) =>
    kernel.attend(q, k, v, { keys, values, blockTable, lengths, blockSize, maxLength: S }, { segments, positions }),
  );
  const bytes = 2 * B * S * K * D * 2;
  const copy = compile((x: Tensor) => x.mul(2));
  const full = await randomNormal(device, [small ? 16 : 2 ** 15, 2 ** 12], 6).realize();
  const copyMs = await time(copy, full);
  const bandwidth = note(
    'copy',
    (2 * 4 * (small ? 2 ** 16 : 2 ** 27)) / copyMs / 1e6,
    'GB/s',
    'PyTorch copy',
    peers['copy GB/s'],
  );
  const ms = await time(step, q, k, v);
  note(`decoding ${B} x ${S} keys H${H} K${K} D${D} f16`, bytes / ms / 1e6, 'GB/s', 'copy', bandwidth);
}

if (small) {
  await dense(1, 2, 256, 64);
  await memory(2, 512, 64);
  await decoding(decode(), 2, 256, 8, 2, 64);
} else {
  await dense(4, 16, 2048, 64);
  await dense(2, 32, 4096, 128);
  await memory(16, 16_384, 64);
  await decoding(decode(), 32, 8192, 32, 8, 64);
}
report(measurements);
await device.dispose();
