import {
  ArgumentError,
  checkArguments,
  checkOptions,
  type Device,
  dropout as dropoutOf,
  foldKey,
  isBlockFormat,
  linear,
  matmul,
  type RandomKey,
  randomKey,
  randomUniform,
  ShapeError,
  type Tensor,
  type Update,
  Variable,
} from '@heddle/tensor';
import { checkLoraOptions, isTarget, type LoraOptions, moduleOf } from './options.ts';

/** The factors of one linear layer: its weight becomes W + scale B A. */
export interface LoraFactors {
  /** f32 `[rank, In]`. */
  readonly a: Variable;
  /** f32 `[Out, rank]`. */
  readonly b: Variable;
  /** f32 `[Out]`, added to what the second one gives; PEFT's `lora_bias`. */
  readonly bias?: Variable;
  /** What the product of the factors is multiplied by. */
  readonly scale: number;
}

/** Weights of a model by name, or variables by their own names. */
export type WeightsByName<T extends Tensor> =
  | ReadonlyMap<string, T>
  | Readonly<Record<string, T>>
  | readonly Variable[];

/** How much of an adapter's inputs is left out, and which. */
export interface LoraDropout {
  /** Changes from step to step: a u32 `[2]` tensor, such as `foldKey(key, step)`, or a number. */
  readonly key: RandomKey;
}

/** Low-rank factors beside the frozen weights of linear layers. */
export interface Lora extends Disposable {
  readonly options: LoraOptions;
  /** Factors by the name of the module, such as `model.layers.0.self_attn.q_proj`. */
  readonly factors: ReadonlyMap<string, LoraFactors>;
  /** What is trained: `model.layers.0.self_attn.q_proj.lora_A.weight` and so on. */
  readonly parameters: ReadonlyMap<string, Variable>;
  /**
   * What a layer gives with its factors: `y + scale (x Aᵀ) Bᵀ`, or `y` where it has none. `x` is `[..., In]`, `y` what its own
   * weight gives, `[..., Out]`; products are computed in the dtype of `x`, with sums in f32. With `dropout`, parts of `x` are left out, as in training.
   * @param weight the name of the layer's weight or module
   */
  apply(weight: string, x: Tensor, y: Tensor, dropout?: LoraDropout): Tensor;
  /** `weight + scale B A` in the weight's dtype, or the weight itself where it has no factors: to run without the adapter. */
  merged(name: string, weight: Tensor): Tensor;
  /**
   * Writes the merged weights in place of those of the model. To take them out again, keep the first ones.
   * @throws ArgumentError for weights that are frozen, or stored in blocks
   */
  mergeInto(weights: WeightsByName<Variable>): Promise<void>;
  /** Frees the factors. Idempotent. */
  dispose(): void;
}

/** What is known of the factors of a layer before they are made. */
export interface FactorValues {
  readonly module: string;
  readonly scale: number;
  /** f32 `[rank, In]` and `[Out, rank]`. */
  readonly a: Float32Array | Tensor;
  readonly b: Float32Array;
  readonly bias?: Float32Array | undefined;
  readonly rank: number;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * Factors for the linear layers of a model, which change nothing at first: `A` is uniform, `B` zeros, as PEFT begins. Give their
 * `parameters` to a trainer, and call `apply` where the model computes its linear layers.
 *
 * ```ts
 * const lora = await createLora(device, weights, { rank: 8, alpha: 16, targets: ['q_proj', 'v_proj'] });
 * const y = lora.apply('model.layers.0.self_attn.q_proj', x, linear(x, weight));
 * ```
 * @param weights by name, each `[Out, In]`, of any dtype: those in blocks too (QLoRA)
 * @returns owned by the caller
 * @throws ArgumentError for options that make no sense, or targets that no weight matches; ShapeError for one that is no matrix
 */
export async function createLora(device: Device, weights: WeightsByName<Tensor>, options: LoraOptions): Promise<Lora> {
  checkArguments('createLora', 'device', { device });
  if (!Array.isArray(weights)) checkArguments('createLora', 'object', { weights });
  checkOptions('createLora', options, {
    rank: 'number',
    alpha: 'number?',
    rankStabilized: 'boolean?',
    dropout: 'number?',
    targets: 'anything',
    seed: 'whole?',
  });
  checkLoraOptions(options);
  const { rank, alpha = rank, rankStabilized = false, seed = 0, targets } = options;
  const scale = alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  const values: FactorValues[] = [];
  for (const [name, weight] of entriesOf(weights)) {
    checkArguments('createLora', 'tensor', { [`weights: ${name}`]: weight });
    const module = moduleOf(name);
    if (!isTarget(targets, module) || (weight.rank < 2 && typeof targets === 'function')) continue;
    if (weight.rank !== 2) throw new ShapeError(`createLora: '${name}' must be [Out, In], it has rank ${weight.rank}`);
    const [outputs, inputs] = weight.shape as readonly [number, number];
    const bound = 1 / Math.sqrt(inputs);
    const key = foldKey(randomKey(device, seed), values.length);
    const a = randomUniform(device, [rank, inputs], key)
      .mul(2 * bound)
      .sub(bound);
    values.push({ module, scale, a, b: new Float32Array(outputs * rank), rank, inputs, outputs });
  }
  if (values.length === 0)
    throw new ArgumentError(
      `createLora: no weight is a target: ${typeof targets === 'function' ? 'by the function' : targets.join(', ')}`,
    );
  return loraOf(device, options, values);
}

/** An adapter with the given factors. */
export async function loraOf(device: Device, options: LoraOptions, values: readonly FactorValues[]): Promise<Lora> {
  const factors = new Map<string, LoraFactors>();
  const made: Variable[] = [];
  const computed: Update[] = [];
  const keep = (variable: Variable) => {
    made.push(variable);
    return variable;
  };
  try {
    for (const { module, scale, a, b, bias, rank, inputs, outputs } of values) {
      const name = `${module}.lora_A.weight`;
      const first =
        a instanceof Float32Array
          ? keep(device.variable(a, { shape: [rank, inputs], name, owner: 'adapter' }))
          : keep(device.zeroVariable([rank, inputs], { name, owner: 'adapter' }));
      if (!(a instanceof Float32Array)) computed.push(first.assign(a));
      const second = keep(
        device.variable(b, { shape: [outputs, rank], name: `${module}.lora_B.weight`, owner: 'adapter' }),
      );
      const named = { name: `${module}.lora_B.bias`, owner: 'adapter' };
      const third = bias && keep(device.variable(bias, { shape: [outputs], ...named }));
      factors.set(module, { a: first, b: second, ...(third && { bias: third }), scale });
    }
    if (computed.length > 0) await device.realize([], computed);
  } catch (error) {
    for (const variable of made) variable.dispose();
    throw error;
  }
  return new Adapter(options, factors, made);
}

class Adapter implements Lora {
  readonly options: LoraOptions;
  readonly factors: ReadonlyMap<string, LoraFactors>;
  readonly parameters: ReadonlyMap<string, Variable>;

  constructor(options: LoraOptions, factors: ReadonlyMap<string, LoraFactors>, variables: readonly Variable[]) {
    this.options = options;
    this.factors = factors;
    this.parameters = new Map(variables.map((variable) => [variable.name, variable]));
  }

  apply(weight: string, x: Tensor, y: Tensor, dropout?: LoraDropout): Tensor {
    const module = moduleOf(weight);
    const own = this.factors.get(module);
    if (!own) return y;
    let input = x;
    const { dropout: p = 0 } = this.options;
    if (dropout && p > 0) {
      // each layer leaves out values of its own
      const index = [...this.factors.keys()].indexOf(module);
      const key = typeof dropout.key === 'number' ? randomKey(x.device, dropout.key) : dropout.key;
      input = dropoutOf(input, p, foldKey(key, index));
    }
    const [a, b] = [own.a.cast(x.dtype), own.b.cast(x.dtype)];
    const change = linear(linear(input, a), b, own.bias, { dtype: 'f32' }).mul(own.scale);
    return y.add(change.cast(y.dtype));
  }

  merged(name: string, weight: Tensor): Tensor {
    const own = this.factors.get(moduleOf(name));
    if (!own) return weight;
    if (own.bias)
      throw new ArgumentError(
        `lora: '${name}' has a bias in the adapter, which no weight takes: keep it beside the model`,
      );
    if (isBlockFormat(weight.dtype))
      throw new ArgumentError(`lora: '${name}' is ${weight.dtype}, which nothing is added to: dequantize it first`);
    return weight.cast('f32').add(matmul(own.b, own.a).mul(own.scale)).cast(weight.dtype);
  }

  async mergeInto(weights: WeightsByName<Variable>): Promise<void> {
    const all = entriesOf(weights).filter(([name]) => this.factors.has(moduleOf(name)));
    const missing = [...this.factors.keys()].find((module) => !all.some(([name]) => moduleOf(name) === module));
    if (missing !== undefined) throw new ArgumentError(`lora: the weights have no '${missing}'`);
    for (const [name, weight] of all)
      if (!(weight instanceof Variable) || weight.frozen)
        throw new ArgumentError(`lora: '${name}' is frozen; merge into weights that may change`);
    const updates = all.map(([name, weight]) => (weight as Variable).assign(this.merged(name, weight)));
    await updates[0]!.variable.device.realize([], updates);
  }

  dispose(): void {
    for (const variable of this.parameters.values()) variable.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function entriesOf<T extends Tensor>(weights: WeightsByName<T>): (readonly [string, T])[] {
  if (Array.isArray(weights))
    return weights.map((weight: T & Variable, i) => [weight?.name ?? `${i}`, weight] as const);
  return weights instanceof Map ? [...weights] : Object.entries(weights as Readonly<Record<string, T>>);
}
