// Recurrences and mixtures of experts on a GPU, against the bandwidth of its memory and a product of as many operations.
//   node bench/dist/recurrent-layers.js [FILTER]
import { packedGatedDeltaRule } from '@heddle/attention';
import {
  type CompiledFunction,
  compile,
  expertMatmul,
  matmul,
  randomNormal,
  randomUniform,
  sigmoid,
  type Tensor,
} from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const filter = process.argv[2] ?? '';
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}`;
const measurements: Measurement[] = [];
let seed = 0;
const random = (shape: readonly number[], dtype: 'f32' | 'f16' = 'f32'): Promise<Tensor> =>
  randomNormal(device, shape, seed++, { dtype }).realize();
const ints = (data: readonly number[]) => device.tensor(Int32Array.from(data));

/** GPU seconds of the kernels of one run whose labels match. */
async function secondsOf(step: CompiledFunction<[], unknown>, labels: RegExp): Promise<number> {
  const runs: number[] = [];
  const until = performance.now() + 500;
  while (runs.length < 9 || performance.now() < until) {
    const times = (await step.profile([])).filter(({ kernel }) => labels.test(kernel));
    runs.push(times.reduce((sum, { microseconds }) => sum + microseconds, 0) / 1e6);
  }
  return median(runs.slice(-7));
}

/** Bytes a second that a sum over 256 MiB reads. */
async function bandwidth(): Promise<number> {
  const x = await random([64, 2 ** 20]);
  const step = compile(() => x.sum(-1), { device, name: 'bandwidth' });
  const rate = 2 ** 28 / (await secondsOf(step, /./));
  step.dispose();
  x.dispose();
  return rate;
}

const readRate = await bandwidth();

/** The heads of Qwen3.5-0.8B: one step of `sequences`, each with so many rows. */
async function deltaRule(sequences: number, rows: number): Promise<void> {
  const name = `delta rule, ${sequences} x ${rows} rows`;
  if (!name.includes(filter)) return;
  const [T, K, H, D] = [sequences * rows, 16, 16, 128];
  const [q, k, v] = [await random([T, K, D]), await random([T, K, D]), await random([T, H, D])];
  const beta = await sigmoid(await random([T, H])).realize();
  const logDecay = await randomUniform(device, [T, H], seed++).neg().realize();
  const pool = await random([sequences, H, D, D]);
  const indices = Array.from({ length: sequences }, (_, i) => i);
  const states = { pool, from: ints(indices), at: ints(indices.map((i) => (i + 1) * rows - 1)) };
  const segments = ints(Array.from({ length: T }, (_, t) => Math.floor(t / rows)));
  const step = compile(
    () => {
      const { out, states: saved } = packedGatedDeltaRule(q, k, v, {
        logDecay,
        beta,
        segments,
        states,
        normalize: true,
      });
      return { out, saved: saved! };
    },
    { device, name },
  );
  const seconds = await secondsOf(step, /packedLinearRecurrence/);
  // states in and out, and the rows
  const bytes = 4 * (2 * sequences * H * D * D + T * (2 * K * D + 2 * H * D));
  measurements.push({
    what: name,
    value: seconds * 1e6,
    unit: 'us',
    adapter,
    ratio: bytes / seconds / readRate,
    against: 'read bandwidth',
  });
  step.dispose();
}

/** One matrix of gpt-oss-20b's experts in f16, of which each row has four. */
async function experts(rows: number): Promise<void> {
  const name = `experts, ${rows} rows`;
  if (!name.includes(filter)) return;
  const [N, S, K, M] = [32, 4, 2880, 2880];
  const [x, w] = [await random([rows, K], 'f16'), await random([N, M, K], 'f16')];
  const chosen = Array.from({ length: rows * S }, (_, i) => (i * 7 + Math.floor(i / S) * 3) % N);
  const named = ints(chosen).reshape([rows, S]);
  const step = compile(() => expertMatmul(x, w, named), { device, name });
  const seconds = await secondsOf(step, /expertMatmul/);
  if (rows === 1)
    measurements.push({
      what: name,
      value: (S * M * K * 2) / seconds / 1e9,
      unit: 'GB/s',
      adapter,
      ratio: (S * M * K * 2) / seconds / readRate,
      against: 'read bandwidth',
    });
  else {
    const all = await random([rows * S, K], 'f16');
    const one = w.slice(0, 0, 1).reshape([M, K]);
    const dense = compile(() => matmul(all, one, { transposeB: true }), { device, name: `dense ${name}` });
    const peer = await secondsOf(dense, /matmul/);
    measurements.push({
      what: name,
      value: (2 * rows * S * M * K) / seconds / 1e12,
      unit: 'TFLOP/s',
      adapter,
      ratio: peer / seconds,
      against: 'one product of as many rows',
    });
    dense.dispose();
  }
  step.dispose();
}

for (const [sequences, rows] of [
  [1, 1],
  [64, 1],
  [1, 512],
  [1, 2048],
] as const)
  await deltaRule(sequences, rows);
for (const rows of [1, 64, 512]) await experts(rows);
report(measurements);
await device.dispose();
