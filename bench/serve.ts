// What of the engine reaches a client of the server, over loopback only: a random Llama of a billion parameters (or another model) behind
// `createServer` in a worker, 64 clients that stream, against `engine.generate` in the same process with the same requests.
//   node bench/dist/serve.js [FOLDER] [--device webgpu] [--clients 64] [--tokens 128]    BENCH_SMALL=1: a small model, to try the benchmark itself
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { openTextModel } from '@heddle/llm';
import { createServer, type WorkerModelOptions, workerModel } from '@heddle/llm/serve';
import type { DeviceName } from '@heddle/tensor';
import { createAdaptorServer } from '@hono/node-server';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, median, report } from './results.js';
import { type Client, completionsClient } from './serve-clients.js';
import { startToFirstToken } from './served-command.js';
import { withTokenizer } from './served-folder.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: 'string', default: 'webgpu' },
    clients: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '128' },
    turn: { type: 'string', default: process.env['BENCH_SMALL'] === undefined ? '24000' : '1000' },
  },
});
const small = process.env['BENCH_SMALL'] !== undefined;
const clients = Number(values.clients);
const newTokens = Number(values.tokens);
const turnTokens = Number(values.turn);
const weights = join(tmpdir(), small ? 'heddle-llama-small' : 'heddle-llama-1b');
const sizes = small
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : llama1b;
if (!positionals[0] && !existsSync(join(weights, 'model.safetensors.index.json')))
  await writeRandomLlama(weights, sizes);
const folder = positionals[0] ?? (await withTokenizer(weights, sizes.vocabulary, turnTokens + 2048));
const device = values.device as Exclude<DeviceName, 'auto'>;
const dtype = device === 'webgpu' ? ('f16' as const) : undefined;
const common = { device, ...(dtype && { dtype, activations: 'f16' as const }), maxSequences: clients };

const measurements: Measurement[] = [];
const note = (what: string, value: number, unit: string, ratio?: number, against?: string) => {
  const row = { what: `serve, ${clients} clients: ${what}`, value, unit, adapter: device };
  measurements.push(ratio === undefined ? row : { ...row, ratio, against: against! });
  console.log(what, value.toPrecision(4), unit, ratio === undefined ? '' : `${ratio.toPrecision(3)} of ${against}`);
};

let prompts = 0;
/** Tokens of a prompt that begins like no other. */
function prompt(length: number): number[] {
  const number = ++prompts;
  return Array.from({ length }, (_, i) => 3 + ((i * 37 + number * 101 + i * number) % 400));
}

/** Tokens a second, and milliseconds to the first token of one at idle, of the engine alone. */
async function engineAlone(): Promise<{ readonly rate: number; readonly first: number }> {
  await using model = await openTextModel(folder, { ...common, maxSequenceTokens: 1024 });
  const run = async (count: number) => {
    const began = performance.now();
    let [tokens, first] = [0, 0];
    await Promise.all(
      Array.from({ length: count }, async () => {
        for await (const _ of model.engine.generate({ tokens: prompt(64), maxTokens: newTokens, stopTokens: [] })) {
          if (tokens++ === 0) first = performance.now() - began;
        }
      }),
    );
    return { rate: (1000 * tokens) / (performance.now() - began), first };
  };
  await run(clients);
  const rates: number[] = [];
  for (let i = 0; i < 3; i++) rates.push((await run(clients)).rate);
  const firsts: number[] = [];
  for (let i = 0; i < 21; i++) firsts.push((await run(1)).first);
  return { rate: median(rates), first: median(firsts) };
}

/** A server of a model in a worker, on a port of this machine. */
async function served<T>(options: WorkerModelOptions, use: (client: Client) => Promise<T>): Promise<T> {
  await using model = workerModel('model', folder, { ...common, ...options });
  await model.opened;
  const app = createServer([model]);
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(completionsClient((server.address() as { port: number }).port));
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

// the files are in the page cache by then
const loadings: number[] = [];
for (let i = 0; i < 3; i++) {
  const began = performance.now();
  await using _ = await openTextModel(folder, { ...common, maxSequenceTokens: 1024 });
  loadings.push(performance.now() - began);
}
const starts: number[] = [];
const args = [
  '--model',
  `model=${folder}`,
  '--device',
  device,
  '--context',
  '1024',
  ...(dtype ? ['--dtype', dtype] : []),
];
for (let i = 0; i < 3; i++) starts.push(await startToFirstToken('model', args));
note('loading the model alone', median(loadings) / 1000, 's');
note(
  'start of the command to the first token, beyond loading',
  (median(starts) - median(loadings)) / 1000,
  's (must 2, aim 1)',
);

const alone = await engineAlone();
note('engine alone', alone.rate, 'tok/s');
note('engine alone, first token at idle, p50', alone.first, 'ms');
await served({ maxSequenceTokens: 1024 }, async (ask) => {
  const run = async (count: number) => {
    const began = performance.now();
    const all = await Promise.all(Array.from({ length: count }, () => ask(prompt(64), newTokens)));
    return {
      rate: (1000 * all.reduce((sum, { tokens }) => sum + tokens, 0)) / (performance.now() - began),
      first: all[0]!.firstMs,
    };
  };
  await run(clients);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const rates: number[] = [];
  for (let i = 0; i < 3; i++) rates.push((await run(clients)).rate);
  delay.disable();
  note(
    'through HTTP streaming',
    median(rates),
    'tok/s',
    median(rates) / alone.rate,
    'the engine alone (must 0.9, aim 0.97)',
  );
  note('event loop delay under full load, p99', delay.percentile(99) / 1e6 - 1, 'ms (must 50)');
  const firsts: number[] = [];
  for (let i = 0; i < 21; i++) firsts.push((await run(1)).first);
  note('first token at idle, p50, added', median(firsts) - alone.first, 'ms (must 5, aim 2)');
});

// an agent's second turn: what was said before and 200 tokens more
const cacheFolder = await mkdtemp(join(tmpdir(), 'heddle-bench-serve-'));
try {
  const turn = { maxSequences: 2, maxSequenceTokens: turnTokens + 1024, cacheFolder };
  const before = prompt(turnTokens);
  const more = prompt(200);
  const cold = await served(turn, async (ask) => {
    await ask(prompt(turnTokens), 4); // kernels of long prompts
    const first = await ask(before, 16);
    const second = await ask([...before, ...more], 16);
    note('turn of an agent, cold', first.firstMs, 'ms');
    note('second turn, computed tokens', second.promptTokens - second.cachedTokens, 'tokens (must 200 + two blocks)');
    note('second turn, first token', second.firstMs, 'ms', second.firstMs / first.firstMs, 'cold (must 0.1, aim 0.05)');
    return first.firstMs;
  });
  await served(turn, async (ask) => {
    await ask(prompt(turnTokens), 4);
    await ask([...before.slice(0, turnTokens / 2), ...prompt(200)], 4); // what brings a prefix up
    const again = await ask([...before, ...prompt(200)], 16);
    note('second turn after a restart, cached tokens', again.cachedTokens, 'tokens');
    note('second turn after a restart', again.firstMs, 'ms', again.firstMs / cold, 'cold (must 0.6, aim 0.3)');
  });
} finally {
  await rm(cacheFolder, { recursive: true });
}
report(measurements);
