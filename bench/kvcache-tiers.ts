// What a prompt costs of which 90% were computed before, by where they are: time to its first token, and how fast they come back.
//   node bench/dist/kvcache-tiers.js [cpu]     a Llama of 1B on the GPU; `cpu`: one of 135M on ONNX Runtime. BENCH_SMALL=1: a small one
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bytesPerToken,
  folderTier,
  type KvCache,
  type KvSequence,
  type PrefixTierOptions,
  pagedCache,
} from '@heddle/kvcache';
import { type Engine, loadModel, openEngine } from '@heddle/llm';
import { openOnnx } from '@heddle/tensor/onnx';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, median, report } from './results.js';

const small = process.env['BENCH_SMALL'] !== undefined;
const cpu = process.argv.includes('cpu');
const sizes = small
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : cpu
    ? { ...llama1b, hidden: 576, layers: 30, heads: 9, keyValueHeads: 3, feedForward: 1536, vocabulary: 49_152 }
    : llama1b;
const name = small ? 'small' : cpu ? '135M' : '1B';
const folder = join(tmpdir(), `heddle-llama-${name.toLowerCase()}`);
const [promptTokens, sharedTokens] = small ? [256, 230] : [2046, 1842];
const rounds = cpu ? 3 : 7;

if (!existsSync(join(folder, 'model.safetensors.index.json'))) await writeRandomLlama(folder, sizes);
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device = cpu ? await openOnnx() : await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const model = await loadModel(folder, { device, ...(!cpu && { activations: 'f16' as const }) });
const measurements: Measurement[] = [];
const stored = await mkdtemp(join(tmpdir(), 'heddle-kv-'));

/** A prompt whose first tokens are those of its `family`. */
let prompts = 0;
const prompt = (family: number): number[] => {
  const own = ++prompts;
  return Array.from({ length: promptTokens }, (_, i) => {
    const of = i < sharedTokens ? family * 131 : own * 173 + 7;
    return 3 + ((i * 37 + of + i * of) % (sizes.vocabulary - 3));
  });
};

async function firstToken(engine: Engine, tokens: readonly number[]): Promise<number> {
  const begin = performance.now();
  for await (const _ of engine.generate({ tokens, maxTokens: 1 })) return performance.now() - begin;
  throw new Error('no token');
}

/** An engine whose cache holds little more than one prompt. */
let cache: KvCache | undefined;
async function withEngine(
  tiers: PrefixTierOptions | undefined,
  body: (engine: Engine) => Promise<void>,
): Promise<void> {
  const engine = openEngine(model, {
    maxSequences: 2,
    maxSequenceTokens: promptTokens + 2,
    ...(tiers && { cacheTiers: tiers }),
    cache: (on, size) => {
      cache = pagedCache(on, { ...size, tokens: 1.5 * promptTokens });
      return cache;
    },
  });
  await engine.prepare({ promptTokens, sequences: 1, sequenceTokens: promptTokens + 1 });
  await body(engine);
  await engine.dispose();
}

/** Median time to the first token where the prompts of another family came between. */
async function measure(tiers: PrefixTierOptions | undefined, between: boolean): Promise<number> {
  const times: number[] = [];
  await withEngine(tiers, async (engine) => {
    await firstToken(engine, prompt(1));
    for (let round = 0; round < rounds; round++) {
      if (between) await firstToken(engine, prompt(2 + round));
      if (between) await new Promise((resolve) => setTimeout(resolve, 100));
      times.push(await firstToken(engine, prompt(1)));
    }
  });
  return median(times);
}

const tokens = 16 * Math.ceil((8 * promptTokens) / 16);
const none = await measure(undefined, true);
const store = folderTier(stored);
const places: [string, number, string][] = [
  ['in the cache', await measure(undefined, false), '(aim 0.3)'],
  [
    'in the host memory, where that is measured to be quicker',
    await measure({ cold: tokens }, true),
    '(aim: no slower)',
  ],
  ['in the host memory, always', await measure({ cold: tokens, load: 'always' }, true), ''],
  [
    'in files, where that is measured to be quicker',
    await measure({ store, model: name, timeoutMs: 60_000 }, true),
    '(aim: no slower)',
  ],
  ['in files, always', await measure({ store, model: name, load: 'always', timeoutMs: 60_000 }, true), ''],
];
const what = `Llama ${name}: time to the first token of ${promptTokens} tokens`;
measurements.push({ what: `${what}, none known`, value: none, unit: 'ms', adapter });
for (const [place, value, aim] of places)
  measurements.push({
    what: `${what}, 90% ${place}`,
    value,
    unit: 'ms',
    adapter,
    ratio: value / none,
    against: `none known ${aim}`.trim(),
  });

// promotion of a prompt from the host's memory against an upload of as many bytes in one tensor
const shape = model.kvShape;
const alone = pagedCache(device, {
  shape,
  maxSequences: 1,
  maxSequenceTokens: promptTokens + 2,
  tokens: 1.5 * promptTokens,
  tiers: { cold: tokens, load: 'always' },
});
/** Asks again while the cache reads more of the prompt, or makes room for it. */
const opened = async (ids: readonly number[]): Promise<KvSequence> => {
  for (;;) {
    const sequence = alone.sequence('a', { tokens: ids });
    if (typeof sequence !== 'string') return sequence;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};
const compute = async (ids: readonly number[]) => {
  const sequence = await opened(ids);
  sequence.reserve(ids.length - sequence.length);
  const found = sequence.length;
  alone.batch([{ sequence, tokens: ids.length - found }]).advance();
  sequence.know(ids.slice(found));
  await sequence.range(ids.length - 1, ids.length);
  sequence.dispose();
  return found;
};
const [first, second] = [prompt(1), prompt(2)];
for (const ids of [first, second, first, second]) await compute(ids);
const promoted: number[] = [];
/** Waits for what was submitted, by a small read behind it. */
const submitted = async () => {
  const tensor = device.tensor(new Float32Array(1));
  const one = tensor.add(1);
  await one.data();
  for (const each of [tensor, one]) each.dispose();
};
for (let round = 0; round < 2 * rounds; round++) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const ids = round % 2 === 0 ? first : second;
  const begin = performance.now();
  const sequence = alone.sequence('a', { tokens: ids }) as KvSequence;
  await submitted();
  promoted.push(performance.now() - begin);
  if (sequence.length < 0.9 * promptTokens) throw new Error(`only ${sequence.length} tokens came back`);
  sequence.dispose();
}
const bytes = bytesPerToken(shape) * Math.floor((promptTokens - 1) / 16) * 16;
const uploads: number[] = [];
const data = new Float32Array(bytes / 4).map((_, i) => i);
for (let round = 0; round < 2 * rounds; round++) {
  const begin = performance.now();
  const tensor = device.tensor(data);
  await submitted();
  uploads.push(performance.now() - begin);
  tensor.dispose();
}
const [rate, plain] = [bytes / median(promoted) / 1e6, bytes / median(uploads) / 1e6];
measurements.push(
  { what: `plain upload of ${bytes} bytes`, value: plain, unit: 'GB/s', adapter },
  {
    what: `Llama ${name}: promotion of ${bytes} bytes from the host memory`,
    value: rate,
    unit: 'GB/s',
    adapter,
    ratio: rate / plain,
    against: 'plain upload (aim 0.7)',
  },
);
alone.dispose();
report(measurements);
await model.dispose();
device.dispose();
await rm(stored, { recursive: true, force: true });
process.exit();
