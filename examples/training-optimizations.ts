// What checkpointing, mixed precision, 8-bit states and offload bring when a language model is trained, measured on the device at
// hand: memory, seconds a step, and both against plain f32.
//   npx tsx --conditions=@heddle/source examples/training-optimizations.ts [WIDTH LAYERS LENGTH BATCH] [DEVICE]
// Memory is the device's own account where it knows what a plan takes (WebGPU); elsewhere what the process grew by at most. Each
// way runs in a process of its own.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '@heddle/llm';
import { createModelFolder, nextTokenLoss, trainableLm } from '@heddle/llm/training';
import { openDevice } from '@heddle/tensor';
import { openOnnx } from '@heddle/tensor/onnx';
import { adamw, adamw8bit, createTrainStep, type TrainStepSettings } from '@heddle/trainer';
import { formatBytes } from '@heddle/trainer/report';
import { exampleArguments, size } from './arguments.ts';

const usage = 'training-optimizations.ts [WIDTH LAYERS LENGTH BATCH]';
const optimizer = adamw({ learningRate: 1e-4 });
const checkpointing = 'every';
const ways: Readonly<
  Record<
    string,
    { readonly dtype: 'f32' | 'f16'; readonly offload?: 'state' | 'both' } & Omit<TrainStepSettings, 'offload'>
  >
> = {
  baseline: { dtype: 'f32', optimizer },
  checkpointing: { dtype: 'f32', optimizer, checkpointing },
  'mixed precision': { dtype: 'f16', optimizer, precision: 'f16' },
  'mixed precision + checkpointing': { dtype: 'f16', optimizer, precision: 'f16', checkpointing },
  '... + 8-bit states': { dtype: 'f16', optimizer: adamw8bit({ learningRate: 1e-4 }), precision: 'f16', checkpointing },
  '... + offload': { dtype: 'f16', optimizer, precision: 'f16', checkpointing, offload: 'state' },
  '... + activations too': { dtype: 'f16', optimizer, precision: 'f16', checkpointing, offload: 'both' },
  'updates in the backward pass': { dtype: 'f32', optimizer, updateInBackward: true, checkpointing },
};

/** What a process found out about one way. */
interface Measured {
  readonly device: string;
  readonly peak: number;
  readonly seconds: number;
  readonly loss: number;
}

const way = process.env['TRAINING_WAY'];
const { args, device: deviceName } = exampleArguments(usage, way === undefined ? 4 : 5);
const onGpu = deviceName === 'webgpu' || (deviceName === 'auto' && way === undefined && (await isGpu()));
const defaults = onGpu ? [768, 12, 1024, 8] : [128, 4, 128, 4];
const [width, layers, length, batch] = ['WIDTH', 'LAYERS', 'LENGTH', 'BATCH'].map((name, i) =>
  size(usage, name, args[i] ?? String(defaults[i])),
) as [number, number, number, number];

if (way !== undefined) console.log(JSON.stringify(await measure(args[4]!, way)));
else {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-training-'));
  try {
    // a text of which the vocabulary is full
    const text = Array.from({ length: 40_000 }, (_, i) => `w${(i * 7919) % 9973}`).join(' ');
    await createModelFolder(folder, {
      texts: [text],
      vocabularySize: onGpu ? 8192 : 1024,
      width,
      layers,
      context: length,
    });
    const rows: { readonly name: string; readonly found: Measured }[] = [];
    for (const name of Object.keys(ways)) rows.push({ name, found: inProcess(name, folder) });
    print(rows);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function inProcess(name: string, folder: string): Measured {
  const sizes = [width, layers, length, batch].map(String);
  const own = [...process.execArgv, fileURLToPath(import.meta.url), ...sizes, folder, onGpu ? 'webgpu' : deviceName];
  const output = execFileSync(process.execPath, own, {
    encoding: 'utf8',
    env: { ...process.env, TRAINING_WAY: name },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(output.trim().split('\n').at(-1)!) as Measured;
}

async function measure(folder: string, name: string): Promise<Measured> {
  const { dtype, offload, ...settings } = ways[name]!;
  const device = await openDevice(deviceName);
  const host = offload && (await openOnnx());
  const model = await loadModel(folder, { device, trainable: true, dtype });
  const before = process.memoryUsage().rss;
  const step = createTrainStep({
    model: trainableLm(model),
    loss: nextTokenLoss,
    ...settings,
    ...(host && { offload: { device: host, activations: offload === 'both' } }),
  });
  const tokens = Int32Array.from({ length: batch * length }, (_, i) => (i * 7919) % model.config.vocabularySize);
  const data = { tokens: { data: tokens, shape: [batch, length] }, targets: { data: tokens, shape: [batch, length] } };
  let { loss } = await step(data); // compiles
  const from = performance.now();
  const steps = 4;
  for (let i = 0; i < steps; i++) ({ loss } = await step(data));
  const seconds = (performance.now() - from) / 1000 / steps;
  const grown = process.resourceUsage().maxRSS * 1024 - before;
  const peak = step.plannedBytes() ? device.memory().peak : grown;
  const description = `${device.name}: ${device.description}`;
  step.dispose();
  await model.dispose();
  await device.dispose();
  await host?.dispose();
  return { device: description, peak, seconds, loss };
}

function print(rows: readonly { readonly name: string; readonly found: Measured }[]): void {
  const plain = rows[0]!.found;
  console.log(`${plain.device}\nwidth ${width}, ${layers} layers, batch ${batch} x ${length}`);
  const cells = rows.map(({ name, found: { peak, seconds, loss } }) => [
    name,
    formatBytes(peak),
    `${(100 * (1 - peak / plain.peak)).toFixed(0)}%`,
    seconds.toFixed(3),
    (plain.seconds / seconds).toFixed(2),
    loss.toFixed(4),
  ]);
  const table = [['', 'peak memory', 'saved', 's a step', 'speed-up', 'loss'], ...cells];
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  for (const row of table)
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '));
}

async function isGpu(): Promise<boolean> {
  const device = await openDevice('auto');
  const found = device.name.startsWith('webgpu');
  await device.dispose();
  return found;
}
