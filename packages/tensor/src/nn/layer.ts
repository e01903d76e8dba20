import { checkOptions, type OptionKinds } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError } from '../checks/errors.ts';
import type { Device } from '../graph/device.ts';
import { Tensor } from '../graph/tensor.ts';
import { Variable } from '../graph/variable.ts';
import type { RandomKey } from '../ops/create/random.ts';
import { leavesOf } from '../tree.ts';

/** What a forward pass is told beside its input. */
export interface LayerContext {
  /** The key of what is drawn (dropout), another one in each step; without it nothing is dropped, as outside of training. */
  readonly key?: RandomKey;
}

/** Variables by name, nested as the layers are: `saveTensors` names them by their paths, as PyTorch does. */
export interface LayerParameters {
  readonly [name: string]: Variable | LayerParameters;
}

/** Weights with a forward pass: what a trainer takes, and layers are made of. */
export interface Layer<P extends LayerParameters = LayerParameters> extends Disposable {
  /** Owned by the layer. */
  readonly parameters: P;
  /** Records the output for `x`; nothing is computed. */
  forward(x: Tensor, context?: LayerContext): Tensor;
  /** Frees the parameters. Idempotent. */
  dispose(): void;
}

/** The variables of a layer, or of a tree of layers' parameters, in order. @throws ArgumentError for what has none */
export function parametersOf(layer: { readonly parameters: unknown }): readonly Variable[] {
  if (typeof layer?.parameters !== 'object' || layer.parameters === null || Array.isArray(layer.parameters))
    throw new ArgumentError(`parametersOf: takes { parameters }, got ${describe(layer)}`);
  return leavesOf(layer.parameters).map((leaf) => {
    if (leaf instanceof Variable) return leaf;
    throw new ArgumentError(`parametersOf: parameters are variables, got ${describe(leaf)}`);
  });
}

/** What layers with drawn weights are made with. */
export interface LayerOptions {
  /** Of the initial values, a whole number: layers of one seed and shape have the same. */
  readonly seed: number;
  /** Of the parameters, 'f32' by default. */
  readonly dtype?: 'f32' | 'f16';
}

/** What layers with drawn weights take, for `checkOptions`. */
export const drawnKinds: OptionKinds = { seed: 'whole', dtype: 'anything', bias: 'boolean?' };

/** A layer that owns its parameters. @param takes its input, for messages */
export function layerOf<P extends LayerParameters>(
  name: string,
  parameters: P,
  forward: (x: Tensor, context: LayerContext) => Tensor,
): Layer<P> {
  const dispose = () => {
    for (const variable of leavesOf(parameters)) (variable as Variable).dispose();
  };
  return {
    parameters,
    forward(x, context = {}) {
      checkOptions(`${name}: forward`, context, ['key']);
      if (!(x instanceof Tensor)) throw new ArgumentError(`${name}: forward takes a tensor, got ${describe(x)}`);
      return forward(x, context);
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** @throws ArgumentError for what is no device, and for sizes that are no whole numbers from 1 */
export function checkLayer(name: string, device: Device, sizes: Readonly<Record<string, unknown>>): void {
  if (typeof device?.variable !== 'function')
    throw new ArgumentError(`${name}: takes a device, got ${describe(device)}`);
  for (const [size, value] of Object.entries(sizes))
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      throw new ArgumentError(`${name}: ${size} must be a whole number from 1, got ${describe(value)}`);
}

/** @throws DTypeError for a dtype that layers do not compute in */
export function layerDType(name: string, dtype: unknown = 'f32'): 'f32' | 'f16' {
  if (dtype !== 'f32' && dtype !== 'f16')
    throw new DTypeError(`${name}: dtype takes f32 and f16, got ${describe(dtype)}`);
  return dtype;
}
