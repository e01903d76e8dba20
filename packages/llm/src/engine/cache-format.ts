import { type AttentionKernel, flash } from '@heddle/attention';
import { type KvCache, openSequence, pagedCache, type QuantizedFormat } from '@heddle/kvcache';
import {
  ArgumentError,
  type CompiledFunction,
  checkArguments,
  compile,
  type Tensor,
  type Update,
} from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { checkTokens } from '../models/row-logits.ts';

/** What a format of the cache does to what a model says. */
export interface CacheFormatMeasurement {
  /**
   * Mean of KL(all kept || format) of the next token's distribution, in nats, over all tokens but the first of each text.
   */
  readonly meanKl: number;
  /** The largest of one token. */
  readonly maxKl: number;
  /** Tokens over which it was measured. */
  readonly tokens: number;
  /** The most that is let pass. */
  readonly limit: number;
}

interface MeasureOptions {
  /** Texts that the model has not seen, as token ids; at least two each. A few thousand tokens say enough. */
  readonly texts: readonly (readonly number[])[];
  /** The mean KL that is let pass. Default 0.002. */
  readonly limit?: number;
  /** Tokens of a step: they read each other as they are, and those before them from the cache. Default 1, as in decoding. */
  readonly stepTokens?: number;
  /** Default `flash()`. */
  readonly attention?: AttentionKernel;
}

interface StepInputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  readonly cache: Readonly<Record<string, Tensor>>;
}

/**
 * Measures what a cache whose rows are kept in a format changes of the distribution of the next token, on the model at hand: the
 * `measured` of a format of 4 bits, which a cache refuses beyond the limit.
 * @throws ArgumentError for texts of fewer than two tokens, ids beyond the vocabulary, a format that the rows do not take
 */
export async function measureCacheFormat(
  model: CausalLm,
  format: QuantizedFormat,
  options: MeasureOptions,
): Promise<CacheFormatMeasurement> {
  checkArguments('measureCacheFormat', 'object', { model, format, options });
  checkArguments('measureCacheFormat', 'list', { 'options.texts': options.texts });
  const { texts, limit = 0.002, stepTokens = 1, attention = flash() } = options;
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  if (texts.length === 0 || texts.some(({ length }) => length < 2))
    throw new ArgumentError('measureCacheFormat: takes texts of at least two tokens each');
  if (!Number.isSafeInteger(stepTokens) || stepTokens < 1)
    throw new ArgumentError(`measureCacheFormat: stepTokens must be a positive integer, got ${stepTokens}`);
  for (const text of texts) checkTokens('measureCacheFormat', text, model.config.vocabularySize);
  const sizes = { shape: model.kvShape, maxSequences: 1, maxSequenceTokens: longest, share: false } as const;
  const open = (options: { format?: QuantizedFormat }) => pagedCache(model.device, { ...sizes, ...options });
  // what is being measured cannot have been
  const unlimited = { ...format, measured: { meanKl: 0, limit: Number.POSITIVE_INFINITY } };
  using kept = open({});
  using rounded = open({ format: unlimited });
  const [plain, other] = [kept, rounded].map((cache) => stepOf(model, cache, attention, stepTokens)) as [Step, Step];
  try {
    let [sum, maxKl, tokens] = [0, 0, 0];
    for (const text of texts) {
      const sequences = [kept, rounded].map((cache) => openSequence(cache, 'text'));
      for (let start = 0; start < text.length; start += stepTokens) {
        const chunk = Int32Array.from(text.slice(start, start + stepTokens));
        const [p, q] = await Promise.all([plain.run(sequences[0]!, chunk), other.run(sequences[1]!, chunk)]);
        const vocabulary = p.length / chunk.length;
        for (let row = start === 0 ? 1 : 0; row < chunk.length; row++) {
          const of = (logits: Float32Array) => logits.subarray(row * vocabulary, (row + 1) * vocabulary);
          const kl = divergence(of(p), of(q));
          sum += kl;
          // NaN stays
          maxKl = kl > maxKl || Number.isNaN(kl) ? kl : maxKl;
          tokens++;
        }
      }
      for (const sequence of sequences) sequence.dispose();
    }
    return { meanKl: sum / tokens, maxKl, tokens, limit };
  } finally {
    plain.plan.dispose();
    other.plan.dispose();
  }
}

interface Step {
  readonly plan: CompiledFunction<[StepInputs], { logits: Tensor; updates: readonly Update[] }>;
  run(sequence: ReturnType<typeof openSequence>, tokens: Int32Array): Promise<Float32Array>;
}

function stepOf(model: CausalLm, cache: KvCache, attention: AttentionKernel, most: number): Step {
  const i32 = { shape: ['T'], dtype: 'i32' as const };
  const plan = compile(
    ({ cache: inputs, ...rows }: StepInputs) => {
      const { logits, updates } = model.forward({ ...rows, kv: cache.bind(inputs), attention });
      return { logits: logits.cast('f32'), updates };
    },
    {
      device: model.device,
      name: 'measure cache format',
      inputs: [{ tokens: i32, positions: i32, segments: i32, cache: cache.inputs }],
      symbols: { ...cache.symbols, T: most },
    },
  );
  return {
    plan,
    async run(sequence, tokens) {
      sequence.reserve(tokens.length);
      const { inputs, positions, segments, sizes, advance } = cache.batch([{ sequence, tokens: tokens.length }]);
      const { logits } = await plan.run([{ tokens, positions, segments, cache: inputs }], { symbols: sizes });
      advance();
      return (await logits.data()) as Float32Array;
    },
  };
}

/** KL(p || q) of the distributions of two rows of logits, in nats. */
function divergence(p: Float32Array, q: Float32Array): number {
  const [a, b] = [logSum(p), logSum(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]! - a) * (p[i]! - a - (q[i]! - b));
  return sum < 0 ? 0 : sum; // by rounding; NaN stays
}

function logSum(values: Float32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - most);
  return most + Math.log(sum);
}
