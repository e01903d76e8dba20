// What the host does in a step of the engine, on a GPU that computes nothing: planning, layout, sampling, commit, streams; and beside
// it the recording of the plans, whose dispatches are counted. A model of 16 layers whose widths are small.
//   node bench/dist/engine-host.js
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel, openEngine } from '@heddle/llm';
import type { Program } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { idleGpu } from './idle-gpu.js';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, report } from './results.js';

const sizes = { ...llama1b, hidden: 64, heads: 4, keyValueHeads: 2, feedForward: 64, vocabulary: 64, positions: 8192 };
const steps = Number(process.env['BENCH_STEPS'] ?? 3000);
const folder = await mkdtemp(join(tmpdir(), 'heddle-engine-host-'));
await writeRandomLlama(folder, sizes);
const device = await openWebGpu(idleGpu());
const model = await loadModel(folder, { device, dtype: 'f16', activations: 'f16' });

let recording = 0;
let dispatches = 0;
const compile = device.executor.compile.bind(device.executor);
device.executor.compile = async (...args) => {
  const program: Program = await compile(...args);
  const run = program.run.bind(program);
  program.run = (...inputs) => {
    const begin = performance.now();
    const outputs = run(...inputs);
    recording += performance.now() - begin;
    dispatches += program.kernelCount;
    return outputs;
  };
  return program;
};

const measurements: Measurement[] = [];
const adapter = 'no GPU';
for (const batch of [1, 64]) {
  const engine = openEngine(model, { maxSequences: batch, maxSequenceTokens: 8192, cacheBytes: 2 ** 30 });
  const count = Math.floor(steps / (batch > 1 ? 4 : 1));
  await engine.prepare({ promptTokens: 16, sequences: batch, sequenceTokens: 16 + count });
  let taken = 0;
  const one = async (number: number, maxTokens: number) => {
    const tokens = Array.from({ length: 16 }, (_, i) => (number * 7 + i * (number + 1)) % 64);
    for await (const _ of engine.generate({ tokens, maxTokens })) taken++;
  };
  const run = async (maxTokens: number) => {
    const all = Array.from({ length: batch }, (_, number) => one(number, maxTokens));
    await Promise.all(all);
  };
  await run(Math.min(count, 300)); // until everything is optimised
  [recording, dispatches, taken] = [0, 0, 0];
  const begin = performance.now();
  const cpu = process.cpuUsage();
  await run(count);
  const { user, system } = process.cpuUsage(cpu);
  const all = performance.now() - begin;
  const name = `engine on the host, ${batch} sequence${batch > 1 ? 's' : ''}`;
  const made = taken / batch;
  console.log({ batch, steps: made, all, cpuMs: (user + system) / 1000, recording });
  measurements.push(
    {
      what: `${name}: outside the recording of plans, a step`,
      value: ((all - recording) / made) * 1000,
      unit: 'us',
      adapter,
    },
    { what: `${name}: recording, a dispatch`, value: (recording / dispatches) * 1000, unit: 'us', adapter },
    { what: `${name}: dispatches`, value: dispatches / made, unit: 'a step', adapter },
  );
  await engine.dispose();
}
report(measurements);
await model.dispose();
await device.dispose();
await rm(folder, { recursive: true });
