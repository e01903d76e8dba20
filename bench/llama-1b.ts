// Decoding and prefill of a random Llama of a billion parameters, its weights in f16 or in blocks, one sequence, through
// `model.forward`, the most likely token fed back on the device, against PyTorch (peers/torch_llama.py) and llama.cpp on the same GPU.
//   BENCH_PEERS=FILE node bench/dist/llama-1b.js [f16|q8_0|q4_0] [paged] [profile]
// llama.cpp's figures stand in the file as 'llama.cpp f16 decode tok/s', 'llama.cpp q4_0 prefill tok/s' and so on.
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flash } from '@heddle/attention';
import { contiguousCache, openSequence, pagedCache } from '@heddle/kvcache';
import { loadModel } from '@heddle/llm';
import { argmax, compile, type InputSpec, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { llama1b, writeRandomLlama } from './random-llama.js';
import { type Measurement, median, report } from './results.js';

const folder = process.env['BENCH_MODEL'] ?? join(tmpdir(), 'heddle-llama-1b');
const sizes = process.env['BENCH_SMALL']
  ? { ...llama1b, hidden: 128, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 512 }
  : llama1b;
const dtype = (['q8_0', 'q4_0'] as const).find((name) => process.argv.includes(name)) ?? 'f16';
const peersFile = process.env['BENCH_PEERS'];
const peers: Record<string, number> = peersFile ? JSON.parse(readFileSync(peersFile, 'utf8')) : {};
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const context = 512;

if (!existsSync(join(folder, 'model.safetensors.index.json'))) await writeRandomLlama(folder, sizes);
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const loading = performance.now();
const model = await loadModel(folder, { device, dtype, activations: 'f16' });
console.log(`loaded in ${((performance.now() - loading) / 1000).toFixed(1)} s`);
const paged = process.argv.includes('paged');
const cacheSizes = { shape: model.kvShape, maxSequences: 1, maxSequenceTokens: 2 * context };
const cache = paged ? pagedCache(device, cacheSizes) : contiguousCache(device, cacheSizes);
const attention = flash();
const token = device.variable(Int32Array.of(7), { name: 'token', shape: [1], dtype: 'i32' });

type Inputs = Record<'tokens' | 'positions' | 'segments' | 'rows', Tensor> & {
  cache: Readonly<Record<string, Tensor>>;
};
const i32 = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' as const });
/** The cache's inputs for one sequence of T rows. */
const cacheInputs = (T: number) =>
  Object.fromEntries(
    Object.entries(cache.inputs).map(([name, { shape, dtype }]): [string, InputSpec] => {
      const sizes: Readonly<Record<string, number>> = { B: 1, T };
      return [
        name,
        { shape: shape.map((size) => (typeof size === 'string' ? (sizes[size] ?? size) : size)), dtype: dtype! },
      ];
    }),
  );
const inputsOf = (T: number) => ({ positions: i32(T), segments: i32(T), cache: cacheInputs(T) });
const symbols = cache.symbols;
const forward = (inputs: Inputs) => {
  const { logits, updates } = model.forward({ ...inputs, kv: cache.bind(inputs.cache), attention });
  const best = argmax(logits, -1);
  return { best, updates: [...updates, token.assign(best)] };
};
const decode = compile(
  (inputs: Omit<Inputs, 'tokens' | 'rows'>) => forward({ ...inputs, tokens: token, rows: device.arange(1, 'i32') }),
  {
    device,
    name: 'decoding',
    inputs: [inputsOf(1)],
    symbols,
  },
);
const prefill = compile(
  ({ tokens, ...inputs }: Omit<Inputs, 'rows'>) =>
    forward({ ...inputs, tokens, rows: device.full([1], context - 1, 'i32') }),
  {
    device,
    name: 'prefill',
    inputs: [{ tokens: i32(context), ...inputsOf(context) }],
    symbols,
  },
);

const sequence = openSequence(cache, 'bench');
const prompt = Int32Array.from({ length: context }, (_, i) => 3 + ((i * 37) % (sizes.vocabulary - 3)));
function step(count: number) {
  if (!sequence.reserve(count)) throw new Error('the cache is full');
  const { inputs, positions, segments, sizes: symbols, advance } = cache.batch([{ sequence, tokens: count }]);
  return { inputs: { positions, segments, cache: inputs }, options: { symbols }, advance };
}

// each time a prompt, then new tokens, until the clocks have settled and some more: an idle GPU takes up to two seconds
const warmUp = process.env['BENCH_SMALL'] ? 0 : 2000;
const steps = 100;
const prefills: number[] = [];
const rates: number[] = [];
const hostTimes: number[] = [];
const until = performance.now() + warmUp;
for (let settled = 0; settled < 7; settled += performance.now() < until ? 0 : 1) {
  sequence.truncate(0);
  const { inputs, options, advance } = step(context);
  const beginOfPrompt = performance.now();
  const { best } = await prefill.run([{ tokens: prompt, ...inputs }], options);
  await best.data();
  prefills.push(performance.now() - beginOfPrompt);
  advance();

  const begin = performance.now();
  for (let i = 0; i < steps; i++) {
    const { inputs, options, advance } = step(1);
    const host = performance.now();
    await decode.run([inputs], options);
    hostTimes.push(performance.now() - host);
    advance();
  }
  await token.data();
  rates.push((steps / (performance.now() - begin)) * 1000);
}

const kernels = decode.kernelCount()!;
const decoding = median(rates.slice(-7));
const filling = (context / median(prefills.slice(-7))) * 1000;
/** A figure against each peer that has one. */
const rowsOf = (what: 'decode' | 'prefill', label: string, value: number, torch: string): Measurement[] => {
  const row = { what: `Llama 1B ${dtype} ${paged ? 'paged ' : ''}${label}`, value, unit: 'tok/s', adapter };
  const found = Object.entries({
    [`llama.cpp ${dtype} ${what} tok/s`]: `llama.cpp Vulkan ${dtype}`,
    ...(dtype === 'f16' ? { [`${what} tok/s`]: torch } : {}),
  }).flatMap(([key, against]) => (peers[key] === undefined ? [] : [{ ...row, ratio: value / peers[key]!, against }]));
  return found.length > 0 ? found : [row];
};
const measurements: Measurement[] = [
  ...rowsOf('decode', `decode, batch 1, context ${context}`, decoding, 'PyTorch compiled + CUDA graph'),
  ...rowsOf('prefill', `prefill of ${context}`, filling, 'PyTorch + CUDA graph'),
  {
    what: `Llama 1B ${dtype} decoding step, ${kernels} kernels: host time a kernel`,
    value: (median(hostTimes) * 1000) / kernels,
    unit: 'us',
    adapter,
  },
];

if (process.argv.includes('profile')) {
  sequence.truncate(context);
  const times = new Map<string, number[]>();
  const one = step(1);
  await decode.profile([one.inputs], one.options);
  for (const { kernel, microseconds } of await decode.profile([one.inputs], one.options))
    times.set(kernel, [...(times.get(kernel) ?? []), microseconds]);
  console.table(tableOf(times));
  sequence.truncate(0);
  const many = step(context);
  times.clear();
  for (const { kernel, microseconds } of await prefill.profile([{ tokens: prompt, ...many.inputs }], many.options))
    times.set(kernel, [...(times.get(kernel) ?? []), microseconds]);
  console.table(tableOf(times));
}
function tableOf(times: ReadonlyMap<string, readonly number[]>) {
  return [...times].map(([kernel, all]) => ({
    kernel,
    count: all.length,
    'us each': median(all).toFixed(1),
    'us in all': all.reduce((a, b) => a + b, 0).toFixed(0),
  }));
}

if (process.env['BENCH_EXPLAIN']) for (const plan of [decode, prefill]) console.log(plan.explain());
report(measurements);
decode.dispose();
prefill.dispose();
cache.dispose();
token.dispose();
await model.dispose();
await device.dispose();
