// What of a compiled step reaches a user: a random Llama of a billion parameters through `engine.generate`, against the bare step at
// the same batch in the same process.
//   node bench/dist/engine.js [f16|q8_0|q4_0]       BENCH_SMALL=1: a small model, to try the benchmark itself
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, loadModel, openEngine } from '@heddle/llm';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { globals } from 'webgpu';
import { bareDecode, barePrefill, bareStepTimes } from './bare-step.js';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, median, report } from './results.js';
import { SlowSteps } from './slow-steps.js';

const small = process.env['BENCH_SMALL'] !== undefined;
const folder = process.env['BENCH_MODEL'] ?? join(tmpdir(), small ? 'heddle-llama-small' : 'heddle-llama-1b');
const sizes = small
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : llama1b;
const dtype = (['q8_0', 'q4_0'] as const).find((name) => process.argv.includes(name)) ?? 'f16';
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const context = small ? 64 : 512;
const steps = small ? 16 : 128;
const batches = small ? [1, 4] : [1, 8, 32, 64];

if (!existsSync(join(folder, 'model.safetensors.index.json'))) await writeRandomLlama(folder, sizes);
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const model = await loadModel(folder, { device, dtype, activations: 'f16' });
const slow = new SlowSteps((globals as { readonly GPUDevice?: { readonly prototype: object } }).GPUDevice);
const measurements: Measurement[] = [];
const note = (what: string, value: number, unit: string, ratio?: number, against?: string) => {
  const row = { what: `engine, Llama ${small ? 'small' : '1B'} ${dtype}: ${what}`, value, unit, adapter };
  measurements.push(ratio === undefined ? row : { ...row, ratio, against: against! });
  console.log(what, value.toPrecision(4), unit, ratio === undefined ? '' : `${ratio.toPrecision(3)} of ${against}`);
};

let prompts = 0;
/** Tokens of a prompt that begins like no other. */
const prompt = (length: number): number[] => {
  const number = ++prompts;
  return Array.from({ length }, (_, i) => 3 + ((i * 37 + number * 101 + i * number) % (sizes.vocabulary - 3)));
};

/** When each token of a request came. */
async function timesOf(engine: Engine, promptTokens: number, maxTokens: number): Promise<number[]> {
  const times: number[] = [];
  for await (const _ of engine.generate({ tokens: prompt(promptTokens), maxTokens })) times.push(performance.now());
  return times;
}

/** Tokens a millisecond of sequences that all decode. */
function steadyRate(all: readonly (readonly number[])[]): number {
  const begin = Math.max(...all.map((times) => times[4]!));
  const end = Math.min(...all.map((times) => times.at(-1)!));
  const counted = all.flat().filter((time) => time > begin && time <= end).length;
  return counted / (end - begin);
}

const open = (stepsInFlight: number, maxSequences: number, deterministic = false) =>
  openEngine(model, {
    deterministic,
    onStep: slow.onStep,
    stepsInFlight,
    maxSequences,
    maxSequenceTokens: 4 * context,
    cacheBytes: 12 * 2 ** 30,
  });
const prepared = async (engine: Engine, sequences: number, promptTokens: number, sequenceTokens: number) => {
  const begin = performance.now();
  await engine.prepare({ promptTokens, sequences, sequenceTokens });
  return performance.now() - begin;
};

// an idle GPU takes up to two seconds to reach its clocks, and it idles while plans are prepared
const warmUp = small ? 0 : 2000;
const settle = async (engine: Engine) => {
  for (const until = performance.now() + warmUp; performance.now() < until; ) await timesOf(engine, context, steps);
};
const until = performance.now() + warmUp;
const bare = new Map<number, number>();
do bare.set(1, await bareDecode(model, 1, context, steps));
while (performance.now() < until);
for (const batch of batches.slice(1)) bare.set(batch, await bareDecode(model, batch, context, steps));
for (const batch of batches.slice(0, 2)) {
  const times = await bareStepTimes(model, batch, context, 8 * steps);
  const middle = median(times);
  for (const share of [0.5, 0.99, 0.999, 1]) {
    const at = times[Math.floor(share * (times.length - 1))]!;
    note(`bare step of ${batch}, each read, p${100 * share} of ${times.length}`, at, 'ms', at / middle, 'p50');
  }
}
for (const [batch, ms] of bare) note(`bare step, batch ${batch}, context ${context}`, (1000 * batch) / ms, 'tok/s');

/** Tokens a millisecond of the deepest engine, by batch. */
const usual = new Map<number, number>();
for (const depth of [1, 2, 3]) {
  const engine = open(depth, batches.at(-1)!);
  const ms = await prepared(engine, batches.at(-1)!, context, context + steps);
  await settle(engine);
  await slow.print(0);
  if (depth === 1) note(`prepare for up to ${batches.at(-1)} sequences`, ms, 'ms');
  for (const batch of batches) {
    const all = await Promise.all(Array.from({ length: batch }, () => timesOf(engine, context, steps)));
    const rate = steadyRate(all);
    usual.set(batch, rate);
    await slow.print();
    const limit = batch / bare.get(batch)!;
    note(
      `decode, batch ${batch}, context ${context}, ${depth} in flight`,
      1000 * rate,
      'tok/s',
      rate / limit,
      'bare step',
    );
  }
  await engine.dispose();
}

// once with room for as many sequences as run, and once with room for the most
for (const [batch, room] of batches.flatMap((each) =>
  [...new Set([each, batches.at(-1)!])].map((most) => [each, most] as const),
)) {
  const engine = open(3, room, true);
  // prompts come one by one: the first must still decode when the last has begun to
  const count = steps + 4 * batch;
  await prepared(engine, batch, context, context + count);
  await settle(engine);
  const all = await Promise.all(Array.from({ length: batch }, () => timesOf(engine, context, count)));
  const rate = steadyRate(all);
  const what = `deterministic, batch ${batch} of ${room}, context ${context}`;
  note(what, 1000 * rate, 'tok/s', rate / usual.get(batch)!, 'the usual engine');
  await engine.dispose();
}

{
  const engine = open(2, 1);
  await prepared(engine, 1, context, context + 8 * steps);
  await settle(engine);
  await slow.print(0);
  const times = await timesOf(engine, context, 8 * steps);
  await slow.print();
  const intervals = times
    .slice(9)
    .map((time, i) => time - times[i + 8]!)
    .sort((a, b) => a - b);
  const middle = median(intervals);
  const at = (share: number) => intervals[Math.floor(share * (intervals.length - 1))]!;
  note(`step of one sequence after prepare, p50 of ${intervals.length}`, middle, 'ms');
  for (const share of [0.9, 0.99, 0.999, 1])
    note(`step of one sequence after prepare, p${100 * share}`, at(share), 'ms', at(share) / middle, 'p50');

  const first: number[] = [];
  for (let i = 0; i < 12; i++) {
    const begin = performance.now();
    const stream = engine.generate({ tokens: prompt(context), maxTokens: 1 });
    await stream.next();
    first.push(performance.now() - begin);
    await stream.return();
  }
  const own = median(first.slice(2));
  const limit = await barePrefill(model, Int32Array.from(prompt(context)));
  note(`bare prefill of ${context}`, limit, 'ms');
  note(
    `time to first token of ${context} at idle, beyond the bare prefill`,
    own - limit,
    'ms',
    own / limit,
    'bare prefill',
  );
  await engine.dispose();
}

{
  const [count, length] = small ? [4, 16] : [64, 128];
  const limit = (1000 * batches.at(-1)!) / bare.get(batches.at(-1)!)!;
  for (const [depth, deterministic] of [
    [1, false],
    [2, false],
    [3, false],
    [3, true],
  ] as const) {
    const engine = open(depth, count, deterministic);
    await prepared(engine, count, length, 2 * length);
    // the first wave settles the clocks
    await Promise.all(Array.from({ length: small ? 0 : count }, () => timesOf(engine, length, length)));
    const begin = performance.now();
    const all = await Promise.all(Array.from({ length: count }, () => timesOf(engine, length, length)));
    const seconds = (performance.now() - begin) / 1000;
    const name = `${deterministic ? 'deterministic, ' : ''}${count} requests of ${length} + ${length}, ${depth} in flight`;
    note(
      `${name}: prompt and new tokens`,
      (2 * count * length) / seconds,
      'tok/s',
      (2 * count * length) / seconds / limit,
      `bare step of ${batches.at(-1)} at context ${context}`,
    );
    note(`${name}: decoded while all decode`, 1000 * steadyRate(all), 'tok/s');
    const gaps = all.flatMap((times) => times.slice(1).map((time, i) => time - times[i]!));
    note(`${name}: longest wait for a token`, Math.max(...gaps), 'ms');
    await engine.dispose();
  }
}

report(measurements);
slow.dispose();
await model.dispose();
await device.dispose();
