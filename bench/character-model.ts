// nanoGPT's character model for a CPU (4 layers, 4 heads, 128 wide, context 64, batch 12) on a text: the validation loss after
// 2,000 steps with two seeds, and steps a second against the same model in TensorFlow.js.
//   node bench/dist/character-model.js [TEXT] [speed]        speed: only that
// TEXT is tinyshakespeare, by default where the checkout's test data is. TensorFlow.js: npm ci --ignore-scripts --prefix bench/peers/tfjs
// nanoGPT, 2,000 steps by PyTorch, mean of seeds: 1.889.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openOnnx } from '@heddle/tensor/onnx';
import {
  adamw,
  chain,
  clipByGlobalNorm,
  createEvaluation,
  createTrainStep,
  warmupCosineSchedule,
} from '@heddle/trainer';
import { tokenArray, tokenBatches } from '@heddle/trainer/data';
import { withAllocatorSettings } from './cpu-settings.js';
import { type Gpt2Shape, gpt2, randomGpt2Weights } from './gpt2-model.js';
import { type Measurement, report } from './results.js';

withAllocatorSettings();

/** What the peer trains, and how a step of it is asked for. */
interface Peer {
  readonly name: string;
  step(tokens: Int32Array, targets: Int32Array): Promise<number>;
}

const args = process.argv.slice(2).filter((arg) => arg !== 'speed');
const path = args[0] ?? fileURLToPath(new URL('../../../shared/text/tinyshakespeare.txt', import.meta.url));
if (!existsSync(path)) {
  console.error(`character-model: there is no text at ${path}: name tinyshakespeare.txt`);
  process.exit(2);
}
const text = readFileSync(path, 'utf8');
const characters = [...new Set(text)].sort();
const codes = new Map(characters.map((character, code) => [character, code]));
const all = Int32Array.from(text, (character) => codes.get(character)!);
const [learned, held] = [all.slice(0, Math.floor(0.9 * all.length)), all.slice(Math.floor(0.9 * all.length))];

const shape: Gpt2Shape = { V: characters.length, P: 64, E: 128, N: 4, H: 4 };
const [rows, length, steps] = [12, 64, 2000];
const threads = 2;
const sourceOf = (tokens: Int32Array) => tokenArray(tokens, { vocabularySize: shape.V });

const device = await openOnnx({ threads });
/** A model and its training step with a seed of its own. */
async function start(seed: number) {
  const model = gpt2(shape, await randomGpt2Weights(device, shape, 'f32', seed));
  const learningRate = warmupCosineSchedule({ peak: 1e-3, warmupSteps: 100, totalSteps: steps, final: 1e-4 });
  const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate, betas: [0.9, 0.99], weightDecay: 0.1 }));
  const step = createTrainStep({ model, loss: (loss) => loss, optimizer });
  const dispose = () => {
    step.dispose();
    for (const weight of Object.values(model.parameters)) weight.dispose();
  };
  return { model, step, dispose };
}
const batches = (seed: number) => tokenBatches(sourceOf(learned), { rows, length, seed, dropLast: true });

/** The loss of the text that was held out, after all steps. */
async function trained(seed: number): Promise<number> {
  const { model, step, dispose } = await start(seed);
  const from = performance.now();
  for await (const batch of batches(seed)) {
    const { loss } = await step(batch);
    if (step.steps % 500 === 0) console.log(`seed ${seed}, step ${step.steps}: loss ${loss.toFixed(4)}`);
    if (step.steps === steps) break;
  }
  const evaluation = createEvaluation({ model, loss: (loss) => loss });
  const { loss } = await evaluation(tokenBatches(sourceOf(held), { rows: 64, length, epochs: 1 }));
  const seconds = (performance.now() - from) / 1000;
  console.log(`seed ${seed}: validation loss ${loss.toFixed(4)} after ${steps} steps in ${seconds.toFixed(0)} s`);
  evaluation.dispose();
  dispose();
  return loss;
}

/** Steps a second of both, in turns: the fastest round of each, as other work on the machine only adds. */
async function speeds(): Promise<{ readonly own: number; readonly peer: number | undefined; readonly name: string }> {
  const { model, step, dispose } = await start(1);
  const weights = await Promise.all(
    Object.entries(model.parameters).map(
      async ([name, variable]) => [name, { shape: variable.shape, data: await variable.data() }] as const,
    ),
  );
  const peer = await openPeer(Object.fromEntries(weights));
  const stream = batches(1)[Symbol.asyncIterator]();
  const next = async () => (await stream.next()).value!;
  const { tokens, targets } = await next();
  const firsts = [(await step({ tokens, targets })).loss, await peer?.step(tokens.data, targets.data)];
  if (firsts[1] !== undefined && Math.abs(firsts[1] - firsts[0]!) > 1e-3)
    throw new Error(`character-model: the sides compute different things: losses ${firsts.join(' and ')}`);
  const best = { own: 0, peer: 0 };
  for (let round = 0; round < 6; round++) {
    const timed = async (count: number, run: () => Promise<unknown>) => {
      const from = performance.now();
      for (let i = 0; i < count; i++) await run();
      return (1000 * count) / (performance.now() - from);
    };
    best.own = Math.max(best.own, await timed(20, async () => step(await next())));
    if (peer)
      best.peer = Math.max(
        best.peer,
        await timed(4, async () => {
          const batch = await next();
          await peer.step(batch.tokens.data, batch.targets.data);
        }),
      );
  }
  dispose();
  return { own: best.own, peer: peer && best.peer, name: peer?.name ?? '' };
}

async function openPeer(weights: object): Promise<Peer | undefined> {
  const url = new URL('../peers/tfjs/character-model.js', import.meta.url).href;
  try {
    const { characterModel } = (await import(url)) as { characterModel(given: object): Promise<Peer> };
    return await characterModel({ ...shape, rows, length, weights });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    console.error('tfjs is not installed: npm ci --ignore-scripts --prefix bench/peers/tfjs');
    return undefined;
  }
}

const adapter = `${device.name}: ${device.description}`;
const what = "nanoGPT's character model";
const { own, peer, name } = await speeds();
const found: Measurement[] = [
  {
    adapter,
    what: `${what}: training steps`,
    value: own,
    unit: 'steps/s',
    ...(peer !== undefined && { ratio: own / peer, against: name }),
  },
];
if (peer !== undefined) found.push({ adapter: name, what: `${what}: training steps`, value: peer, unit: 'steps/s' });
if (!process.argv.includes('speed')) {
  const losses = [await trained(1), await trained(2)];
  const value = losses.reduce((a, b) => a + b) / losses.length;
  const row = { adapter, what: `${what}: validation loss after ${steps} steps, mean of two seeds` };
  found.push({ ...row, value, unit: 'nats', ratio: value / 1.889, against: 'PyTorch, 1.889' });
}
report(found);
await device.dispose();
process.exit();
