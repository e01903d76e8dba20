import {
  type BlockFormat,
  compile,
  type Device,
  defineOp,
  isBlockFormat,
  recordOne,
  type Tensor,
} from '@heddle/tensor';
import { median } from './results.js';

/** What is measured: x [1, 4096] times weights [14336, 4096], over more than 256 MiB of distinct weights. */
const [width, columns] = [4096, 14_336];
const leastBytes = 2 ** 28;

export type WeightDType = 'f16' | 'bf16' | BlockFormat;
const bytesPerValue: Readonly<Record<WeightDType, number>> = {
  f16: 2,
  bf16: 2,
  q8_0: 34 / 32,
  q4_0: 18 / 32,
  mxfp4: 17 / 32,
  q4_k: 144 / 256,
  q5_k: 176 / 256,
  q6_k: 210 / 256,
};
/** Where the f16 scales of a block are, and its bytes; that of mxfp4 is a power of two. */
const scalesOf: Readonly<Record<BlockFormat, { readonly bytes: number; readonly at: readonly number[] }>> = {
  q8_0: { bytes: 34, at: [0] },
  q4_0: { bytes: 18, at: [0] },
  mxfp4: { bytes: 17, at: [] },
  q4_k: { bytes: 144, at: [0, 2] },
  q5_k: { bytes: 176, at: [0, 2] },
  q6_k: { bytes: 210, at: [208] },
};

/** Random blocks, with scales of a size that weights have. */
export function randomBlocks(format: BlockFormat, count: number): Uint8Array {
  const words = new Uint32Array(Math.ceil((count * bytesPerValue[format]) / 4));
  for (let i = 0, state = 1; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state ^ (state >>> 15);
  }
  const bytes = new Uint8Array(words.buffer, 0, count * bytesPerValue[format]);
  const { bytes: size, at } = scalesOf[format];
  for (let block = 0; block < bytes.length; block += size)
    for (const place of at) {
      // 2^-9 to 2^-8, of either sign
      bytes[block + place + 1] = (bytes[block + place + 1]! & 0x83) | 0x18;
    }
  if (format === 'mxfp4') for (let block = 0; block < bytes.length; block += size) bytes[block] = 119;
  return bytes;
}

/** Bytes per second that a kernel reads that does nothing else, over 1 GiB. */
export async function readBandwidth(device: Device): Promise<number> {
  const count = 2 ** 28;
  const op = defineOp<{ readonly count: number }>({
    name: 'readAll',
    shape: () => [{ shape: [4], dtype: 'f32' }],
    lower: {
      webgpu: {
        kernels: () => [
          {
            label: 'readAll',
            buffers: [
              { name: 'x', input: 0, vector: 4 },
              { name: 'y', output: 0, vector: 4 },
            ],
            parameters: { count },
            threads: 256,
            write: ({ at4, set4 }) => ({
              main: `  let first = ((w.z * n.y + w.y) * n.x + w.x) * 2048u + l;
  var sum = vec4<f32>();
  for (var i = 0u; i < 8u; i++) { sum += ${at4.x}(first + i * 256u); }
  if (sum.x == 123.25 && sum.y == -71.5) { ${set4.y}(0u, sum); }`,
            }),
            workgroups: () => [count / 8192, 1, 1],
          },
        ],
      },
    },
  });
  const x = device.zeroVariable([count]);
  const step = compile(() => [recordOne(op, [x], { count })], { device, name: 'read' });
  const seconds = await secondsOf(step, firstWarmUpMs);
  step.dispose();
  x.dispose();
  await device.trim();
  return (4 * count) / seconds;
}

type Step = () => readonly Tensor[] | Promise<readonly Tensor[]>;

/** Milliseconds of work before measuring: a GPU that was idle begins at a fifth of its clock. */
const warmUpMs = 300;
const firstWarmUpMs = 1500;
/** Runs of a short and of a long series. */
const series = [100, 400] as const;

/** Milliseconds from the first submission of `runs` runs to the end of the last. */
async function elapsed(step: Step, runs: number): Promise<number> {
  const start = performance.now();
  let last: readonly Tensor[] = [];
  for (let run = 0; run < runs; run++) last = await step();
  await last[0]!.data();
  return performance.now() - start;
}

/**
 * Seconds of one run among many: a long series less a short one, so that reading back does not count. Timestamps around each
 * kernel add about 15 us to it, more than some of these kernels take.
 */
async function secondsOf(step: Step, warmUp = warmUpMs): Promise<number> {
  for (const end = performance.now() + warmUp; performance.now() < end; ) await elapsed(step, 20);
  const rounds: number[] = [];
  for (let round = 0; round < 5; round++) {
    const [short, long] = [await elapsed(step, series[0]), await elapsed(step, series[1])];
    rounds.push((long - short) / (series[1] - series[0]) / 1e3);
  }
  return median(rounds);
}

/** Weight bytes per second of products by each of `variants`, over the same weights. */
export async function gemvBandwidth(
  device: Device,
  dtype: WeightDType,
  activations: 'f16' | 'f32',
  variants: readonly { readonly name: string; readonly f: (x: Tensor, weights: Tensor) => Tensor }[],
  rows = 1,
): Promise<{ readonly name: string; readonly bytesPerSecond: number }[]> {
  const bytes = width * columns * bytesPerValue[dtype];
  const copies = Math.ceil(leastBytes / bytes) + 1;
  const wave = (count: number) => device.arange(count, 'f32').mul(12.9898).sin();
  const x = await wave(rows * width)
    .reshape([rows, width])
    .cast(activations)
    .realize();
  const blocks = isBlockFormat(dtype) ? randomBlocks(dtype, width * columns) : undefined;
  const weights: Tensor[] = [];
  for (let i = 0; i < copies; i++)
    weights.push(
      blocks
        ? device.tensor(blocks, { shape: [columns, width], dtype })
        : await wave(width * columns)
            .reshape([columns, width])
            .cast(dtype)
            .realize(),
    );
  const measured: { name: string; bytesPerSecond: number }[] = [];
  for (const { name, f } of variants) {
    const step = compile(() => weights.map((w) => f(x, w)), { device, name });
    try {
      const seconds = await secondsOf(step, measured.length === 0 ? firstWarmUpMs : warmUpMs);
      measured.push({ name, bytesPerSecond: (bytes * copies) / seconds });
    } finally {
      step.dispose();
    }
  }
  for (const tensor of [x, ...weights]) tensor.dispose();
  await device.trim();
  return measured;
}
