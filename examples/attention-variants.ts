// What attention variants cost, measured: one layer of each over a sequence, forward.
//   npx tsx --conditions=@heddle/source examples/attention-variants.ts [WIDTH [HEADS [LENGTH]]] [DEVICE]
import { type AttentionModuleOptions, createAttentionModule, rotaryTable } from '@heddle/attention';
import {
  arange,
  compile,
  layerNorm,
  openDevice,
  randomNormal,
  rmsNorm,
  softmax,
  type Tensor,
  where,
} from '@heddle/tensor';
import { exampleArguments, size } from './arguments.ts';

const usage = 'attention-variants.ts [WIDTH [HEADS [LENGTH]]]';
const { args, device: name } = exampleArguments(usage, 3);
const device = await openDevice(name);
// on a CPU an eighth of the width and a quarter of the length
const defaults = device.name === 'webgpu' ? [2048, 32, 2048] : [256, 8, 512];
const [width, heads, length] = defaults.map((usual, i) =>
  size(usage, ['WIDTH', 'HEADS', 'LENGTH'][i]!, args[i] ?? String(usual)),
) as [number, number, number];
const headDim = size(usage, 'WIDTH / HEADS', String(width / heads));

/** Attention as its formula says, with the scores of all queries and keys in memory. */
function plainAttention(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const [L, H, K] = [q.shape[1] as number, q.shape[2] as number, k.shape[2] as number];
  const rows = q.reshape([L, K, H / K, headDim]).permute([1, 2, 0, 3]);
  const columns = (x: Tensor) => x.reshape([L, K, 1, headDim]).permute([1, 2, 0, 3]);
  const place = arange(device, L);
  const seen = place.reshape([1, L]).lessEqual(place.reshape([L, 1]));
  const scores = rows.matmul(columns(k), { transposeB: true }).mul(headDim ** -0.5);
  const mixed = softmax(where(seen, scores, -1e30), -1).matmul(columns(v));
  return mixed.permute([2, 0, 1, 3]).reshape([1, L, H, headDim]);
}

const table = rotaryTable(device, { theta: 10_000, dim: headDim, scaling: { kind: 'default' } }, length);
const [ones, zeros] = [device.ones([width]), device.zeros([width])];
const layerNormed = (x: Tensor) => layerNorm(x, ones, zeros);
const rmsNormed = (x: Tensor) => rmsNorm(x, ones);

interface Variant {
  readonly name: string;
  readonly options?: Partial<AttentionModuleOptions>;
  readonly norm?: (x: Tensor) => Tensor;
  readonly flash?: boolean;
}
const turned = { rotary: { table } };
const single = { ...turned, attentionType: 'mqa' } as const;
const variants: readonly Variant[] = [
  { name: 'MHA' },
  { name: 'MHA + rotary', options: turned },
  { name: 'MQA + rotary', options: single },
  { name: 'MQA + rotary, pre-norm', options: single, norm: layerNormed },
  { name: 'MQA + rotary, RMS norm', options: single, norm: rmsNormed },
  { name: 'MQA + rotary, RMS norm, flash', options: single, norm: rmsNormed, flash: true },
];

const x = randomNormal(device, [1, length, width], 1);
await device.realize([x]);
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(2);
const columns = [30, 10, 10, 12, 13, 12];
const line = (cells: readonly string[]) =>
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(columns[i]!) : cell.padStart(columns[i]!))).join(''));

console.log(`${device.name}: ${device.description}`);
console.log(`width ${width}, ${heads} heads, length ${length}, f32, one layer forward`);
line(['', 'ms', 'relative', 'weights MiB', 'working MiB', 'cache B/tok']);
const layers = [];
for (const { name, options, norm, flash } of variants) {
  const module = await createAttentionModule(device, { width, heads, seed: 1, ...options });
  const step = compile((input: Tensor) => {
    const attended = module.forward({ x: norm ? norm(input) : input }, flash ? {} : { attend: plainAttention });
    return { out: input.add(attended), mark: attended.slice(1, 0, 1).slice(2, 0, 1) };
  });
  // reading one value waits for all of a run
  const run = async () => (await step(x)).mark.data();
  await run();
  layers.push({ name, module, step, run, times: [] as number[] });
}
// in turns, so that whatever else the machine does falls on all of them
for (let round = 0; round < 15; round++)
  for (const { run, times } of layers) {
    const begin = performance.now();
    await run();
    times.push(performance.now() - begin);
  }
const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1]!;
for (const { name, module, step, times } of layers) {
  const { query, key, value, output } = module.parameters;
  const sizes = [query, key, value, output].map(({ weight }) => (weight.shape as number[]).reduce((a, b) => a * b));
  // known on a GPU before the step runs; ONNX Runtime does not say
  const working = step.plannedBytes()?.peak;
  line([
    name,
    median(times).toFixed(2),
    (median(times) / median(layers[0]!.times)).toFixed(2),
    mib(4 * sizes.reduce((a, b) => a + b)),
    working === undefined ? 'unknown' : mib(working),
    String(2 * 4 * (key.weight.shape[0] as number)),
  ]);
  step.dispose();
  module.dispose();
}
await device.dispose();
