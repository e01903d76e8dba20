// What a newcomer meets in the first hour: the time of a loop that is written as one thinks of it, and what a page has to load.
//   npm run build && npm ci --prefix scripts/checks --ignore-scripts && node bench/dist/first-hour.js [onnx|reference|webgpu]
// 200 steps of a network of two layers without `compile`, the loss read in each: the last twenty against the first twenty, which
// begin after five in which the plans are made. Sizes are those that .size-limit.json bounds, minified and compressed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gradients, openDevice, randomNormal, relu, type Tensor } from '@heddle/tensor';
import { type Measurement, median, report } from './results.js';

const name = (process.argv[2] ?? 'onnx') as 'onnx' | 'reference' | 'webgpu';
const steps = 200;

async function naturalLoop(): Promise<Measurement> {
  const device = await openDevice(name);
  const x = randomNormal(device, [64, 64], 1);
  const y = randomNormal(device, [64, 1], 2);
  let w1: Tensor = randomNormal(device, [64, 32], 3, { deviation: 0.1 });
  let w2: Tensor = randomNormal(device, [32, 1], 4, { deviation: 0.1 });
  const times: number[] = [];
  const losses: number[] = [];
  for (let i = 0; i < steps + 5; i++) {
    const start = performance.now();
    const loss = relu(x.matmul(w1)).matmul(w2).sub(y).square().mean();
    const [by1, by2] = gradients(loss, [w1, w2]);
    w1 = w1.sub(by1.mul(0.01));
    w2 = w2.sub(by2.mul(0.01));
    losses.push(await loss.item());
    times.push(performance.now() - start);
  }
  if (!(losses.at(-1)! < losses[0]!)) throw new Error(`nothing is learned: ${losses[0]}, then ${losses.at(-1)}`);
  const { description } = device;
  await device.dispose();
  const [first, last] = [median(times.slice(5, 25)), median(times.slice(-20))];
  const what = `a loop without compile, two layers: the last 20 of ${steps} steps`;
  return { what, value: last, unit: 'ms', adapter: description, ratio: last / first, against: 'the first 20' };
}

/** Bytes of every entry as a page loads it. */
function sizes(): Measurement[] {
  const checks = fileURLToPath(new URL('../../scripts/checks', import.meta.url));
  // it prints all sizes, and exits with 1 where one is over its limit
  const { stdout } = spawnSync('node', ['node_modules/size-limit/bin.js', '--json'], { cwd: checks, encoding: 'utf8' });
  if (!stdout?.includes('['))
    throw new Error('size-limit printed no sizes: npm ci --prefix scripts/checks --ignore-scripts');
  const entries = JSON.parse(stdout.slice(stdout.indexOf('['))) as {
    readonly name: string;
    readonly size: number;
    readonly sizeLimit: number;
  }[];
  return entries.map(({ name: entry, size, sizeLimit }) => ({
    what: `${entry}: size with all that it imports`,
    value: size / 1000,
    unit: 'kB',
    adapter: 'esbuild, brotli',
    ratio: size / sizeLimit,
    against: 'its limit',
  }));
}

report([await naturalLoop(), ...sizes()]);
