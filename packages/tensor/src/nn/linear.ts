import { calledAs } from '../checks/called-as.ts';
import { checkOptions } from '../checks/check-options.ts';
import type { Device } from '../graph/device.ts';
import type { Variable } from '../graph/variable.ts';
import { linear } from '../ops/nn.ts';
import { kaimingUniform, uniformValues } from './initial-values.ts';
import { checkLayer, drawnKinds, type Layer, type LayerOptions, layerDType, layerOf } from './layer.ts';

/** Sizes of a linear layer. */
export interface LinearOptions extends LayerOptions {
  readonly inputs: number;
  readonly outputs: number;
  /** Whether a bias is added (default true). */
  readonly bias?: boolean;
}

/** Weights of a linear layer or a convolution, as PyTorch names and lays them out. */
export type WeightAndBias = { readonly weight: Variable; readonly bias?: Variable };

/**
 * A linear layer: x `[..., inputs]` to `[..., outputs]`, with a weight `[outputs, inputs]` and a bias `[outputs]`, drawn as
 * PyTorch draws them. Owned by the caller.
 *
 * ```ts
 * const layer = createLinear(device, { inputs: 784, outputs: 10, seed: 1 });
 * const logits = layer.forward(x);
 * ```
 * @throws ArgumentError, OutOfMemoryError
 */
export function createLinear(device: Device, options: LinearOptions): Layer<WeightAndBias> {
  checkOptions('createLinear', options, { ...drawnKinds, inputs: 'size', outputs: 'size' });
  const { inputs, outputs, bias = true, seed } = options;
  checkLayer('createLinear', device, { inputs, outputs });
  const dtype = layerDType('createLinear', options.dtype);
  const parameters = weightAndBias('createLinear', device, [outputs, inputs], bias, seed, dtype);
  return layerOf('linear layer', parameters, (x) => linear(x, parameters.weight, parameters.bias));
}

/** A weight, outputs first, and a bias as PyTorch draws them: evenly, up to 1 / sqrt(inputs). */
export function weightAndBias(
  name: string,
  device: Device,
  shape: readonly number[],
  bias: boolean,
  seed: number,
  dtype: 'f32' | 'f16',
): WeightAndBias {
  const values = calledAs(name, () => kaimingUniform(shape, { seed, negativeSlope: Math.sqrt(5) }));
  const weight = device.variable(floats(values), { shape, dtype, name: 'weight' });
  if (!bias) return { weight };
  const bound = 1 / Math.sqrt(shape.slice(1).reduce((product, size) => product * size, 1));
  // a stream of its own: seeds of neighbouring layers are neighbours
  const drawn = uniformValues([shape[0]!], { seed: (seed + 2 ** 40) % 2 ** 53, low: -bound, high: bound });
  return { weight, bias: device.variable(floats(drawn), { dtype, name: 'bias' }) };
}

/** Numbers of any dtype: a Float64Array is rounded to it. */
export function floats(values: Float32Array): Float64Array {
  return Float64Array.from(values);
}
