// Ways to train a GPT-2 124M with random weights, batch 8 x 1024: precision, checkpointing, 8-bit states, and the optimizer alone
// against copies of as many bytes; against PyTorch eager (peers/torch_training.py). One table.
//   BENCH_PEERS=FILE node bench/dist/training.js [tiny]
import { readFileSync } from 'node:fs';
import { compile, type Device, type Tensor, type Variable, where } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { adamw, adamw8bit, createTrainStep, type TrainStepSettings } from '@heddle/trainer';
import { type Gpt2Shape, gpt2, gpt2Small, gpt2Weights, randomGpt2Weights } from './gpt2-model.js';
import { type Measurement, median, report } from './results.js';

const tiny = process.argv.includes('tiny');
const shape: Gpt2Shape = tiny ? { V: 320, P: 64, E: 64, N: 4, H: 4 } : gpt2Small;
const [B, L] = tiny ? [2, 64] : [8, 1024];
const name = tiny ? 'tiny GPT-2' : 'GPT-2 124M';
const chunkRows = tiny ? 64 : 1024;
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const loader = process.env['VULKAN_LOADER'];
const open = () => openWebGpu({ ...(toggles && { toggles }), ...(loader && { vulkanLoader: loader }) });
const gib = (bytes: number) => bytes / 2 ** 30;
const learningRate = 1e-4;

interface Way extends TrainStepSettings {
  readonly what: string;
  readonly dtype: 'f32' | 'f16';
  /** What PyTorch's figure is called, and what it is. */
  readonly peer?: readonly [key: string, name: string];
}
const ways: readonly Way[] = [
  { what: 'f32', dtype: 'f32', optimizer: adamw({ learningRate }), peer: ['fp32', 'PyTorch eager fp32'] },
  { what: 'f32, every block computed again', dtype: 'f32', optimizer: adamw({ learningRate }), checkpointing: 'every' },
  {
    what: 'f16 mixed',
    dtype: 'f16',
    precision: 'f16',
    optimizer: adamw({ learningRate }),
    peer: ['bf16', 'PyTorch eager bf16'],
  },
  {
    what: 'f16 mixed, every block computed again, 8-bit states',
    dtype: 'f16',
    precision: 'f16',
    optimizer: adamw8bit({ learningRate }),
    checkpointing: 'every',
    peer: ['bf16', 'PyTorch eager bf16'],
  },
];

interface Measured {
  readonly seconds: number;
  readonly peak: number;
  readonly activations: number;
  readonly optimizer: number;
}

const tokens = Int32Array.from({ length: B * L }, (_, i) => (i * 7919 + ((i * i) % 1009)) % Math.min(shape.V, 50_257));
const batch = {
  tokens: { data: tokens, shape: [B, L] },
  targets: { data: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % tokens.length]!), shape: [B, L] },
};

/** Steps of one way, on a device of their own, whose peak is theirs. */
async function measure({ dtype, what, ...settings }: Way): Promise<Measured> {
  const device = await open();
  const model = gpt2(shape, await randomGpt2Weights(device, shape, dtype), chunkRows);
  const step = createTrainStep({ model, loss: (loss) => loss, ...settings });
  const began = performance.now();
  const first = await step(batch);
  const compiled = (performance.now() - began) / 1000;
  const times: number[] = [];
  let loss = first.loss;
  for (let round = 0; round < 4; round++) {
    const from = performance.now();
    const submitted = [];
    for (let i = 0; i < 4; i++) submitted.push(await step.submit(batch));
    ({ loss } = await submitted.at(-1)!.result);
    times.push((performance.now() - from) / 4 / 1000);
  }
  if (!(loss < first.loss)) throw new Error(`${what}: the loss went from ${first.loss} to ${loss}`);
  const seconds = median(times.slice(1));
  console.log(
    `${what}: first step ${compiled.toFixed(1)} s, loss ${first.loss.toFixed(4)} to ${loss.toFixed(4)}, ${(seconds * 1000).toFixed(1)} ms a step`,
  );
  const { peak, owners } = device.memory();
  const optimizer = owners.find(({ owner }) => owner === 'optimizer')?.bytes ?? 0;
  const activations = step.plannedBytes()!.peak;
  step.dispose();
  await device.dispose();
  return { seconds, peak, activations, optimizer };
}

/** Bytes a second of AdamW over the weights as a step makes it, and of a copy of as many values in one piece, by wall time. */
async function optimizerAgainstCopy(device: Device) {
  const shapes = Object.entries(gpt2Weights(shape));
  const zeros = (size: readonly number[], name: string) => device.zeroVariable(size, { name });
  const parameters = shapes.map(([key, size]) => ({ name: key, value: zeros(size, key) }));
  const slopes = shapes.map(([key, size]) => zeros(size, `slope.${key}`));
  const optimizer = adamw({ learningRate });
  const moments: Variable[] = [];
  const state = optimizer.init(parameters, (key, size) => {
    moments.push(zeros(size as readonly number[], key));
    return moments.at(-1)!;
  });
  const numbers = device.tensor(Float32Array.from(optimizer.scalars(0)));
  const update = compile(
    (given: Tensor) => {
      const metrics = given.mul(1); // a value of its own, as in a step
      const number = (place: number) => metrics.slice(0, place, place + 1).reshape([]);
      const scalars = optimizer.scalars(0).map((_, i) => number(i));
      const next = optimizer.update(slopes, state, parameters, { scalars });
      const applied = number(0).greater(0);
      const values = [...next.parameters, ...next.state.firstMoments, ...next.state.secondMoments];
      const variables = [...parameters.map(({ value }) => value), ...moments];
      return {
        metrics,
        updates: variables.map((variable, i) => variable.assign(where(applied, values[i]!, variable))),
      };
    },
    { device, inputs: [{ shape: [numbers.shape[0] as number] }] as never, name: 'adamw' },
  );
  const count = shapes.reduce((sum, [, size]) => sum + size.reduce((a, b) => a * b, 1), 0);
  const [from, to] = [zeros([count], 'from'), zeros([count], 'to')];
  const copy = compile(() => ({ updates: [to.assign(from.add(1))] }), { device, inputs: [], name: 'copy' });
  /** The best of some rounds: other work of the host only adds. */
  const rate = async (bytes: number, run: () => Promise<unknown>, written: Tensor) => {
    const times: number[] = [];
    for (let round = 0; round < 8; round++) {
      const begin = performance.now();
      for (let i = 0; i < 20; i++) await run();
      await written.data(); // after all that was submitted
      times.push((performance.now() - begin) / 20 / 1000);
    }
    return bytes / Math.min(...times);
  };
  const smallest = parameters.at(-1)!.value; // read back after each round
  const found = {
    adamw: await rate(count * 4 * 7, () => update(numbers as never), smallest),
    copy: await rate(count * 4 * 2, async () => void (await copy()), smallest),
  };
  console.log(`AdamW: ${(await update.report()).kernels.length} kernels`);
  update.dispose();
  copy.dispose();
  return found;
}

const device = await open();
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const rates = await optimizerAgainstCopy(device);
await device.dispose();
const found: Measured[] = [];
for (const way of ways) found.push(await measure(way));

const against = (peer: Way['peer'], key: string, value: number) => {
  const figure = peer && peers[`${peer[0]} ${key}`];
  return figure === undefined ? {} : { ratio: value / figure, against: peer![1] };
};
const plain = found[0]!;
report([
  ...ways.flatMap(({ what, peer }, i): Measurement[] => {
    const { seconds, peak, activations, optimizer } = found[i]!;
    const row = { adapter, what: `${name} training, batch ${B} x ${L}, ${what}` };
    const ofPlain = i > 0 && { against: 'f32 in the same run' };
    return [
      { ...row, value: (B * L) / seconds, unit: 'tok/s', ...against(peer, 'tok/s', (B * L) / seconds) },
      {
        ...row,
        what: `${row.what}: peak memory`,
        value: gib(peak),
        unit: 'GiB',
        ...against(peer, 'peak GiB', gib(peak)),
      },
      {
        ...row,
        what: `${row.what}: activations and gradients, planned`,
        value: gib(activations),
        unit: 'GiB',
        ...(ofPlain && { ratio: activations / plain.activations, ...ofPlain }),
      },
      { ...row, what: `${row.what}: state of the optimizer`, value: gib(optimizer), unit: 'GiB' },
    ];
  }),
  {
    adapter,
    what: `${name} training: time of a step with every block computed again`,
    value: found[1]!.seconds * 1000,
    unit: 'ms',
    ratio: found[1]!.seconds / plain.seconds,
    against: 'f32 in the same run',
  },
  {
    adapter,
    what: `AdamW over the ${Object.keys(gpt2Weights(shape)).length} weights of ${name} as in a step, by wall time`,
    value: rates.adamw / 1e9,
    unit: 'GB/s',
    ratio: rates.adamw / rates.copy,
    against: 'copy bandwidth in the same run',
  },
]);
