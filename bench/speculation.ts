// What guessed tokens bring: a random Llama of a billion parameters through `engine.generate`, with prompt lookup and without, in the
// same process: greedy over a few tokens or one, which repeats itself, over all, and drawn at random, where nothing repeats.
//   node bench/dist/speculation.js       BENCH_SMALL=1: a small model, to try the benchmark itself
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, loadModel, openEngine, promptLookup, type Sampler, sampler } from '@heddle/llm';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, median, report } from './results.js';

const small = process.env['BENCH_SMALL'] !== undefined;
const folder = process.env['BENCH_MODEL'] ?? join(tmpdir(), small ? 'heddle-llama-small' : 'heddle-llama-1b');
const sizes = small
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : llama1b;
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const [context, maxTokens, turns] = small ? [64, 48, 2] : [512, 384, 5];

if (!existsSync(join(folder, 'model.safetensors.index.json'))) await writeRandomLlama(folder, sizes);
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const model = await loadModel(folder, { device, dtype: 'f16', activations: 'f16' });
const measurements: Measurement[] = [];

/** A bias that leaves so many tokens. */
const only = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [3 + 7 * i, 1000]));
const prompt = Array.from({ length: context }, (_, i) => 3 + ((i * 37 + i * i) % (sizes.vocabulary - 3)));

/** Tokens a second after the first eight, and the tokens. */
async function rateOf(engine: Engine, own: Sampler): Promise<{ readonly rate: number; readonly tokens: number[] }> {
  const times: number[] = [];
  const tokens: number[] = [];
  for await (const token of engine.generate({ tokens: prompt, maxTokens, sampler: own, sequence: 0 })) {
    tokens.push(token);
    times.push(performance.now());
  }
  return { rate: (1000 * (times.length - 9)) / (times.at(-1)! - times[8]!), tokens };
}

const size = { maxSequences: 1, maxSequenceTokens: 2 * (context + maxTokens) };
const plain = openEngine(model, size);
const guessing = openEngine(model, { ...size, speculation: promptLookup() });
for (const [name, own] of [
  ['greedy over one token', sampler({ temperature: 0, logitBias: only(1) })],
  ['greedy over 8 tokens', sampler({ temperature: 0, logitBias: only(8) })],
  ['greedy', sampler({ temperature: 0 })],
  ['drawn at random', sampler({ temperature: 4, seed: 1 })],
] as const) {
  for (const engine of [plain, guessing])
    await engine.prepare({ promptTokens: context, sequences: 1, sequenceTokens: context + maxTokens, sampler: own });
  const rates: [number[], number[]] = [[], []];
  const before = guessing.stats();
  let same = true;
  for (let turn = 0; turn <= turns; turn++) {
    const [a, b] = [await rateOf(plain, own), await rateOf(guessing, own)];
    same &&= String(a.tokens) === String(b.tokens);
    if (turn === 0) continue; // which settles the clocks
    rates[0].push(a.rate);
    rates[1].push(b.rate);
  }
  const { draftedTokens, acceptedTokens } = guessing.stats();
  const [without, value] = [median(rates[0]), median(rates[1])];
  const [drafted, right] = [draftedTokens - before.draftedTokens, acceptedTokens - before.acceptedTokens];
  const what = `prompt lookup, Llama ${small ? 'small' : '1B'} f16, one sequence: ${name}`;
  console.log(what, value.toPrecision(4), 'tok/s,', (value / without).toPrecision(3), 'of', without.toPrecision(4));
  console.log(`  ${right} of ${drafted} guesses were right; ${same ? 'the same tokens' : 'other tokens, by rounding'}`);
  measurements.push({ what, value, unit: 'tok/s', ratio: value / without, against: 'no speculation', adapter });
}
report(measurements);
for (const engine of [plain, guessing]) await engine.dispose();
await model.dispose();
await device.dispose();
