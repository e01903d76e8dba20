import {
  ArgumentError,
  calledAs,
  checkArguments,
  checkOptions,
  type Device,
  mapTree,
  type OptionKinds,
  randomNormal,
  ShapeError,
  type Tensor,
  type Variable,
} from '@heddle/tensor';
import { type AttentionType, keyValueHeads } from './attention-type.ts';

/** Sizes and parts of an attention module. */
export interface AttentionConfig {
  /** E, the width of the model. */
  readonly width: number;
  /** H, query heads. */
  readonly heads: number;
  /** By default 'mha'. */
  readonly attentionType?: AttentionType;
  /** D; by default the width over the heads. */
  readonly headDim?: number;
  /** Biases of the projections: of all, or those of q, k and v (`input`) or of the output alone. */
  readonly bias?: boolean | { readonly input?: boolean; readonly output?: boolean };
  /** RMS norm of each head of q and k, before the rotary embedding: `true`, or with an epsilon (1e-6). */
  readonly qkNorm?: boolean | { readonly epsilon: number };
  /** Each output of the heads is multiplied by a sigmoid of the input's own projection (https://arxiv.org/abs/2505.06708). */
  readonly outputGate?: boolean;
}

/** A projection: weight `[out, in]`, bias `[out]`. */
export type Projection<T = Variable> = {
  readonly weight: T;
  readonly bias?: T;
};

/** Weights of an attention module as a tree; `T` is `Variable` where they are trained, `Tensor` otherwise. */
export type AttentionParameters<T = Variable> = {
  /** `[H * D, E]` */
  readonly query: Projection<T>;
  /** `[K * D, E]` */
  readonly key: Projection<T>;
  /** `[K * D, E]` */
  readonly value: Projection<T>;
  /** `[E, H * D]` */
  readonly output: Projection<T>;
  /** `[D]` each, with `qkNorm` */
  readonly queryNorm?: { readonly weight: T };
  readonly keyNorm?: { readonly weight: T };
  /** `[H * D, E]`, with `outputGate` */
  readonly gate?: Projection<T>;
};

/** What a configuration has, for `checkOptions`. */
export const configKinds: Readonly<Record<keyof AttentionConfig, OptionKinds[string]>> = {
  width: 'size',
  heads: 'size',
  attentionType: 'text?',
  headDim: 'size?',
  bias: 'anything',
  qkNorm: 'anything',
  outputGate: 'boolean?',
};

/** @throws ArgumentError naming `operation` for parts that are neither there, nor left out, nor described */
export function checkParts(operation: string, { bias, qkNorm }: AttentionConfig): void {
  if (bias !== undefined && typeof bias !== 'boolean')
    checkOptions(`${operation}: bias`, bias, { input: 'boolean?', output: 'boolean?' });
  if (qkNorm !== undefined && typeof qkNorm !== 'boolean')
    checkOptions(`${operation}: qkNorm`, qkNorm, { epsilon: 'positive' });
}

/** E, H, K and D of a configuration. @throws ArgumentError */
export function attentionSizes(config: AttentionConfig): { E: number; H: number; K: number; D: number } {
  const { width: E, heads: H, attentionType = 'mha' } = config;
  const K = keyValueHeads(attentionType, H);
  const D = config.headDim ?? E / H;
  for (const [name, size] of Object.entries({ width: E, 'head size': D }))
    if (!Number.isInteger(size) || size < 1)
      throw new ArgumentError(`attention module: ${name} must be a positive integer, got ${size}`);
  return { E, H, K, D };
}

/** The shapes of the parameters, as the tree that the parameters are. */
export function attentionParameterShapes(config: AttentionConfig): AttentionParameters<readonly number[]> {
  checkOptions('attentionParameterShapes', config, configKinds);
  checkParts('attentionParameterShapes', config);
  return calledAs('attentionParameterShapes', () => shapesOf(config));
}

function shapesOf(config: AttentionConfig): AttentionParameters<readonly number[]> {
  const { E, H, K, D } = attentionSizes(config);
  const { bias = false } = config;
  const { input, output } = typeof bias === 'boolean' ? { input: bias, output: bias } : bias;
  const project = (out: number, width: number, biased = false) => ({
    weight: [out, width],
    ...(biased ? { bias: [out] } : {}),
  });
  return {
    query: project(H * D, E, input),
    key: project(K * D, E, input),
    value: project(K * D, E, input),
    output: project(E, H * D, output),
    ...(config.qkNorm ? { queryNorm: { weight: [D] }, keyNorm: { weight: [D] } } : {}),
    ...(config.outputGate ? { gate: { weight: [H * D, E] } } : {}),
  };
}

/** @throws ArgumentError, ShapeError for parameters that the configuration does not have, or of another shape */
export function checkAttentionParameters(parameters: AttentionParameters<Tensor>, config: AttentionConfig): void {
  const leaves = (tree: unknown, isLeaf: (value: unknown) => boolean) => {
    const found = new Map<string, unknown>();
    mapTree(tree, (leaf, path) => found.set(path, leaf), isLeaf);
    return found;
  };
  const given = leaves(parameters, () => false);
  const wanted = leaves(shapesOf(config), Array.isArray);
  for (const name of new Set([...wanted.keys(), ...given.keys()])) {
    const [tensor, shape] = [given.get(name) as Tensor | undefined, wanted.get(name) as readonly number[] | undefined];
    if (tensor === undefined || !shape)
      throw new ArgumentError(
        `attention module: parameter '${name}' is ${shape ? 'missing' : 'not of this configuration'}`,
      );
    checkArguments('attention module', 'tensor', { [name]: tensor });
    if (String(tensor.shape) !== String(shape))
      throw new ShapeError(`attention module: parameter '${name}' must be [${shape}], got [${tensor.shape}]`);
  }
}

/**
 * New parameters: weights of the normal distribution with deviation 1 / sqrt(their input width), biases 0, norms 1. The same for
 * the same seed on every device.
 * @returns Variables, the caller's to dispose of, named after their place in the tree
 * @throws ArgumentError, OutOfMemoryError; then none are kept
 */
export async function createAttentionParameters(
  device: Device,
  config: AttentionConfig,
  options: DrawOptions,
): Promise<AttentionParameters> {
  checkArguments('createAttentionParameters', 'device', { device });
  checkOptions('createAttentionParameters', config, configKinds);
  checkParts('createAttentionParameters', config);
  checkOptions('createAttentionParameters', options, drawKinds);
  return calledAs('createAttentionParameters', () => drawParameters(device, config, options));
}

/** What parameters are drawn with, for `checkOptions`. */
export const drawKinds: OptionKinds = { seed: 'whole', dtype: [undefined, 'f32', 'f16'], name: 'text?' };

/** What new parameters are drawn with. */
export interface DrawOptions {
  /** The same seed gives the same values. */
  readonly seed: number;
  /** 'f32' where not named. */
  readonly dtype?: 'f32' | 'f16';
  /** What the names of the variables begin with; 'attention' where not named. */
  readonly name?: string;
}

export async function drawParameters(
  device: Device,
  config: AttentionConfig,
  { seed, dtype = 'f32', name = 'attention' }: DrawOptions,
): Promise<AttentionParameters> {
  const made: Variable[] = [];
  try {
    const tree = mapTree(
      shapesOf(config),
      (shape, path) => {
        const variable = device.zeroVariable(shape as readonly number[], { dtype, name: `${name}.${path}` });
        made.push(variable);
        return variable;
      },
      Array.isArray,
    );
    const updates = made.flatMap((variable, i) => {
      const last = variable.shape.at(-1) as number;
      if (variable.rank === 2)
        return [variable.assign(randomNormal(device, variable.shape, seed + i, { dtype, deviation: last ** -0.5 }))];
      return variable.name.endsWith('Norm.weight')
        ? [variable.assign(device.ones(variable.shape as number[], dtype))]
        : [];
    });
    await device.realize([], updates);
    return tree as AttentionParameters;
  } catch (error) {
    for (const variable of made) variable.dispose();
    throw error;
  }
}
