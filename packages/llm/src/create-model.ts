import { type AttentionKernel, flash } from '@heddle/attention';
import {
  ArgumentError,
  checkArguments,
  checkOptions,
  type Device,
  randomNormal,
  type Tensor,
  type Variable,
} from '@heddle/tensor';
import { describe } from './describe.ts';
import { type AnyConfig, type Described, describeConfig } from './described-config.ts';
import type { CausalLm } from './models/causal-lm.ts';
import { Weights } from './models/weights.ts';

/** Options of `createModel`. */
export interface CreateModelOptions {
  readonly device: Device;
  /** Of the random weights: the same seed gives the same ones on every device. A whole number below 2^32; default 0. */
  readonly seed?: number;
  /** How matrices are stored; vectors are f32. Default f32. */
  readonly dtype?: 'f32' | 'f16';
  /** What products and attention read, and the cache holds. Default `dtype`. */
  readonly activations?: 'f32' | 'f16';
  /** Default `flash()`. */
  readonly attention?: AttentionKernel;
}

/**
 * A model with random weights, to be trained: of any family, by the fields of its `config.json`, by its blocks, or by its layers. Matrices and
 * embeddings are of a normal distribution with the deviation `initializer_range` (by default 0.02), norms begin as 1, biases as 0.
 * Owned by the caller.
 *
 * ```ts
 * const model = await createModel(
 *   { model_type: 'llama', vocab_size: 4096, hidden_size: 256, intermediate_size: 688, num_hidden_layers: 6, num_attention_heads: 8 },
 *   { device },
 * );
 * ```
 * @see transformerBlock for models by their blocks
 * @throws FileFormatError `ERR_CONFIG`, `ERR_UNKNOWN_ARCHITECTURE` for fields that do not fit, ArgumentError for options that do not,
 *   OutOfMemoryError; then nothing is left on the device
 */
export async function createModel(config: AnyConfig, options: CreateModelOptions): Promise<CausalLm & AsyncDisposable> {
  checkArguments('createModel', 'object', { config });
  checkOptions('createModel', options, {
    device: 'device',
    seed: 'anything',
    dtype: 'anything',
    activations: 'anything',
    attention: 'object?',
  });
  const { device, seed = 0, dtype = 'f32', activations = dtype, attention = flash() } = options;
  for (const [name, value] of Object.entries({ dtype, activations }))
    if (value !== 'f32' && value !== 'f16')
      throw new ArgumentError(`createModel: ${name} takes f32, f16, got ${describe(value)}`);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new ArgumentError(`createModel: seed must be a whole number from 0, below 2^32, got ${describe(seed)}`);
  const deviation = config['initializer_range' as keyof typeof config] ?? 0.02;
  if (typeof deviation !== 'number' || !(deviation >= 0 && deviation < Number.POSITIVE_INFINITY))
    throw new ArgumentError(`createModel: initializer_range must be a number from 0, got ${describe(deviation)}`);
  const described = describeConfig(config);
  const weights = await randomWeights(device, described, { seed, dtype, deviation });
  try {
    const model = described.create(device, weights, { attention, activations });
    return Object.assign(model, { [Symbol.asyncDispose]: () => model.dispose() });
  } catch (error) {
    weights.dispose();
    throw error;
  }
}

/** Each weight draws by its place among the others, so that it does not depend on the device or on dtypes. */
async function randomWeights(
  device: Device,
  { shapes, starts }: Pick<Described, 'shapes' | 'starts'>,
  { seed, dtype, deviation }: { readonly seed: number; readonly dtype: 'f32' | 'f16'; readonly deviation: number },
): Promise<Weights> {
  const made = new Map<string, Variable>();
  try {
    for (const [index, [name, shape]] of [...shapes].entries()) {
      const start = starts.get(name);
      const options = { name, owner: 'weights', dtype: shape.length > 1 ? dtype : ('f32' as const) };
      if (start !== undefined) {
        const data = startValues(start, shape);
        made.set(name, device.variable(data, { ...options, shape }));
        continue;
      }
      const variable = device.zeroVariable(shape, options);
      made.set(name, variable);
      const drawn: Tensor = randomNormal(device, shape, seed + index * 2 ** 32, { deviation });
      await device.realize([], [variable.assign(drawn.cast(options.dtype))]);
    }
    return Weights.of(made);
  } catch (error) {
    for (const variable of made.values()) variable.dispose();
    throw error;
  }
}

/** A number for all of them; or logarithms of rates of decay, from 1 to 16. */
function startValues(start: number | 'rates', shape: readonly number[]): Float32Array {
  const length = shape.reduce((a, b) => a * b, 1);
  if (start !== 'rates') return new Float32Array(length).fill(start);
  return Float32Array.from({ length }, (_, i) => Math.log(1 + (15 * i) / Math.max(1, length - 1)));
}
