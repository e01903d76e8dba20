// Training steps of the larger GPT-2 shapes with random weights in little memory: batch 1 x 1,024, every block computed again, f16,
// masters and 8-bit states in host memory, logits in chunks.
//   node bench/dist/large-gpt2.js [124M|355M|774M|1.5B|tiny] [STEPS] [plain]
// `plain` takes the same steps with everything on the GPU, in f32, beside it: losses must agree within 1e-3 (124M).
import { execFileSync } from 'node:child_process';
import { openOnnx } from '@heddle/tensor/onnx';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { adamw8bit, createTrainStep, type TrainStepSettings } from '@heddle/trainer';
import { withAllocatorSettings } from './cpu-settings.js';
import { type Gpt2Shape, gpt2, gpt2Weights, randomGpt2Weights } from './gpt2-model.js';
import { median, report } from './results.js';

withAllocatorSettings();

const [V, P] = [50_304, 1024];
const shapes: Readonly<Record<string, Gpt2Shape>> = {
  tiny: { V: 320, P: 64, E: 64, N: 4, H: 4 },
  '124M': { V, P, E: 768, N: 12, H: 12 },
  '355M': { V, P, E: 1024, N: 24, H: 16 },
  '774M': { V, P, E: 1280, N: 36, H: 20 },
  '1.5B': { V, P, E: 1600, N: 48, H: 25 },
};
const [name = '1.5B', count = '20'] = process.argv.slice(2).filter((arg) => arg !== 'plain');
const shape = shapes[name];
if (!shape) throw new Error(`large-gpt2: takes ${Object.keys(shapes).join(', ')}, got ${name}`);
const steps = Number(count);
const L = shape.P;
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const loader = process.env['VULKAN_LOADER'];
const open = () => openWebGpu({ ...(toggles && { toggles }), ...(loader && { vulkanLoader: loader }) });
const gib = (bytes: number) => bytes / 2 ** 30;

/** The same tokens in every step: the loss must fall. */
const tokens = Int32Array.from({ length: L }, (_, i) => (i * 7919 + ((i * i) % 1009)) % Math.min(shape.V, 50_257));
const batch = {
  tokens: { data: tokens, shape: [1, L] },
  targets: { data: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % L]!), shape: [1, L] },
};
const optimizer = adamw8bit({ learningRate: 1e-4 });

/** Losses and seconds of the steps, the device's own peak, and what the driver says that the process holds. */
async function measure(dtype: 'f32' | 'f16', settings: Omit<TrainStepSettings, 'optimizer'>) {
  const device = await open();
  const model = gpt2(shape!, await randomGpt2Weights(device, shape!, dtype), 256);
  const step = createTrainStep({ model, loss: (loss) => loss, optimizer, checkpointing: 'every', ...settings });
  const losses: number[] = [];
  const seconds: number[] = [];
  for (let i = 0; i < steps; i++) {
    const from = performance.now();
    const { loss, applied } = await step(batch);
    seconds.push((performance.now() - from) / 1000);
    losses.push(loss);
    console.log(
      `${dtype}, step ${i}: loss ${loss.toFixed(5)}${applied ? '' : ' (skipped)'}, ${seconds.at(-1)!.toFixed(2)} s`,
    );
  }
  const found = { losses, seconds: median(seconds.slice(1)), peak: device.memory().peak, process: processBytes() };
  const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
  step.dispose();
  await device.dispose();
  return { ...found, adapter };
}

/** Of this process on the GPU, by nvidia-smi; undefined where there is none. */
function processBytes(): number | undefined {
  try {
    const query = ['--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits'];
    const lines = execFileSync('nvidia-smi', query, { encoding: 'utf8' }).trim().split('\n');
    const own = lines.map((line) => line.split(',').map(Number)).find(([pid]) => pid === process.pid);
    const all = execFileSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], {
      encoding: 'utf8',
    });
    return (own?.[1] ?? Number(all.split('\n')[0])) * 2 ** 20; // graphics processes are listed with the whole GPU only
  } catch {
    return undefined;
  }
}

const host = await openOnnx();
const lossScale = 1024; // the same in every step: none is skipped
const away = await measure('f16', { precision: { compute: 'f16', lossScale }, offload: { device: host } });
if (!(away.losses.at(-1)! < away.losses[0]!))
  throw new Error(`large-gpt2: the loss does not fall: ${away.losses.join(', ')}`);
const weights = Object.values(gpt2Weights(shape)).reduce((sum, size) => sum + size.reduce((a, b) => a * b, 1), 0);
const what = `GPT-2 ${name} (${(weights / 1e6).toFixed(0)} million), batch 1 x ${L}, every block computed again, offloaded 8-bit AdamW`;
const { adapter } = away;
report([
  { adapter, what: `${what}: a step`, value: away.seconds, unit: 's' },
  { adapter, what: `${what}: peak memory`, value: gib(away.peak), unit: 'GiB' },
  ...(away.process === undefined
    ? []
    : [
        {
          adapter,
          what: `${what}: memory of the process by nvidia-smi`,
          value: gib(away.process),
          unit: 'GiB',
          ratio: away.process / away.peak,
          against: 'what is accounted',
        },
      ]),
]);
if (process.argv.includes('plain')) {
  const plain = await measure('f32', {});
  const distance = Math.max(...plain.losses.map((loss, i) => Math.abs(loss - away.losses[i]!)));
  report([{ adapter, what: `${what}: largest distance of a loss from f32 on the GPU`, value: distance, unit: 'nats' }]);
}
await host.dispose();
process.exit();
