// One compiled forward pass in a loop, the most likely token fed back on the device: what an engine cannot be faster than.
import { flash } from '@heddle/attention';
import { type KvBatch, type KvCache, openSequence, pagedCache } from '@heddle/kvcache';
import type { CausalLm } from '@heddle/llm';
import { argmax, compile, type InputSpec, type Tensor } from '@heddle/tensor';
import { median } from './results.js';

type Inputs = Record<'positions' | 'segments', Tensor> & { cache: Readonly<Record<string, Tensor>> };

/** The cache's inputs for B sequences of T rows in all. */
const inputsOf = (cache: KvCache, T: number, B: number) => {
  const i32 = (size: number) => ({ shape: [size], dtype: 'i32' as const });
  const known: Readonly<Record<string, number>> = { B, T };
  const own = Object.entries(cache.inputs).map(([name, { shape, dtype }]): [string, InputSpec] => [
    name,
    { shape: shape.map((size) => (typeof size === 'string' ? (known[size] ?? size) : size)), dtype: dtype! },
  ]);
  return { positions: i32(T), segments: i32(T), cache: Object.fromEntries(own) };
};

const fed = ({ inputs, positions, segments }: KvBatch) => [{ positions, segments, cache: inputs }] as const;

/** A decoding step of `batch` sequences, compiled for 2 * `context` tokens each. */
function openDecode(model: CausalLm, batch: number, context: number) {
  const { device } = model;
  const sizes = { shape: model.kvShape, maxSequences: batch, maxSequenceTokens: 2 * context };
  const cache = pagedCache(device, { ...sizes, blockSize: 16 });
  const attention = flash();
  const token = device.variable(new Int32Array(batch).fill(7), { name: 'token', shape: [batch], dtype: 'i32' });
  const decode = compile(
    ({ cache: inputs, ...rest }: Inputs) => {
      const rows = device.arange(batch, 'i32');
      const { logits, updates } = model.forward({ ...rest, tokens: token, rows, kv: cache.bind(inputs), attention });
      return { updates: [...updates, token.assign(argmax(logits, -1))] };
    },
    { device, name: 'bare decoding', inputs: [inputsOf(cache, batch, batch)], symbols: cache.symbols },
  );
  const sequences = Array.from({ length: batch }, (_, i) => openSequence(cache, `${i}`));
  const rows = (tokens: number) => {
    for (const sequence of sequences) if (!sequence.reserve(tokens)) throw new Error('the cache is full');
    return cache.batch(sequences.map((sequence) => ({ sequence, tokens })));
  };
  return {
    token,
    /** Sequences of `context` tokens again. */
    begin() {
      for (const sequence of sequences) sequence.truncate(0);
      rows(context).advance(); // what is attended to changes no time: zeros do
    },
    async step() {
      const step = rows(1);
      await decode.run([...fed(step)], { symbols: step.sizes });
      step.advance();
    },
    dispose() {
      decode.dispose();
      cache.dispose();
      token.dispose();
    },
  };
}

/** Milliseconds of a decoding step of `batch` sequences that have `context` tokens: the median of three runs of `steps`. */
export async function bareDecode(model: CausalLm, batch: number, context: number, steps: number): Promise<number> {
  const decode = openDecode(model, batch, context);
  const times: number[] = [];
  for (let round = 0; round < 4; round++) {
    decode.begin();
    const begin = performance.now();
    for (let i = 0; i < steps; i++) await decode.step();
    await decode.token.data();
    times.push((performance.now() - begin) / steps);
  }
  decode.dispose();
  return median(times.slice(1));
}

/** Milliseconds of each of `steps` decoding steps whose tokens are read before the next begins, in ascending order. */
export async function bareStepTimes(
  model: CausalLm,
  batch: number,
  context: number,
  steps: number,
): Promise<readonly number[]> {
  const decode = openDecode(model, batch, context);
  const times: number[] = [];
  for (let i = 0; i < steps + 20; i++) {
    if (i % context === 0) decode.begin();
    const begin = performance.now();
    await decode.step();
    await decode.token.data();
    times.push(performance.now() - begin);
  }
  decode.dispose();
  return times.slice(20).sort((a, b) => a - b);
}

/** Milliseconds until the first token of a prompt is on the host, the median of some. */
export async function barePrefill(model: CausalLm, tokens: Int32Array): Promise<number> {
  const { device } = model;
  const T = tokens.length;
  const cache = pagedCache(device, { shape: model.kvShape, maxSequences: 1, maxSequenceTokens: T, blockSize: 16 });
  const attention = flash();
  const prefill = compile(
    ({ cache: inputs, ...rest }: Inputs & { tokens: Tensor }) => {
      const rows = device.full([1], T - 1, 'i32');
      const { logits, updates } = model.forward({ ...rest, rows, kv: cache.bind(inputs), attention });
      return { best: argmax(logits, -1), updates };
    },
    {
      device,
      name: 'bare prefill',
      inputs: [{ tokens: { shape: [T], dtype: 'i32' }, ...inputsOf(cache, T, 1) }],
      symbols: cache.symbols,
    },
  );
  const sequence = openSequence(cache, 'prompt');
  sequence.reserve(T);
  const times: number[] = [];
  for (let round = 0; round < 12; round++) {
    const step = cache.batch([{ sequence, tokens: T }]);
    const begin = performance.now();
    const { best } = await prefill.run([{ tokens, ...fed(step)[0] }], { symbols: step.sizes });
    await best.data();
    times.push(performance.now() - begin);
  }
  prefill.dispose();
  cache.dispose();
  return median(times.slice(2));
}
