import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import type { Device } from '../graph/device.ts';
import type { Variable } from '../graph/variable.ts';
import { layerNorm } from '../ops/rows/normalization.ts';
import { rmsNorm } from '../ops/rows/rms-norm.ts';
import { checkLayer, type Layer, layerDType, layerOf } from './layer.ts';
import type { WeightAndBias } from './linear.ts';

/** Sizes of a norm over the last axis. */
export interface NormOptions {
  /** The size of the last axis. */
  readonly width: number;
  /** Added to the variance; 1e-5 by default, 1e-6 of `createRmsNorm`. */
  readonly epsilon?: number;
  /** Of the parameters, 'f32' by default. */
  readonly dtype?: 'f32' | 'f16';
}

/**
 * Layer norm over the last axis, with a weight of ones and a bias of zeros, `[width]` each; without one where `bias` is false.
 * Owned by the caller. @throws ArgumentError, OutOfMemoryError
 */
export function createLayerNorm(
  device: Device,
  options: NormOptions & { readonly bias?: boolean },
): Layer<WeightAndBias> {
  checkOptions('createLayerNorm', options, { width: 'size', epsilon: 'number?', bias: 'boolean?', dtype: 'anything' });
  const { width, epsilon = 1e-5, bias = true } = options;
  const weight = ones('createLayerNorm', device, options, epsilon);
  const parameters = bias
    ? { weight, bias: device.zeroVariable([width], { dtype: weight.dtype, name: 'bias' }) }
    : { weight };
  return layerOf('layer norm', parameters, (x) => layerNorm(x, weight, parameters.bias, epsilon));
}

/** RMS norm over the last axis, with a weight of ones, `[width]`. Owned by the caller. @throws ArgumentError, OutOfMemoryError */
export function createRmsNorm(device: Device, options: NormOptions): Layer<{ readonly weight: Variable }> {
  checkOptions('createRmsNorm', options, ['width', 'epsilon', 'dtype']);
  const { epsilon = 1e-6 } = options;
  const weight = ones('createRmsNorm', device, options, epsilon);
  return layerOf('RMS norm', { weight }, (x) => rmsNorm(x, weight, epsilon));
}

function ones(name: string, device: Device, { width, dtype }: NormOptions, epsilon: unknown): Variable {
  checkLayer(name, device, { width });
  if (!(typeof epsilon === 'number' && epsilon >= 0))
    throw new ArgumentError(`${name}: epsilon must be a number from 0, got ${describe(epsilon)}`);
  return device.variable(new Float64Array(width).fill(1), { dtype: layerDType(name, dtype), name: 'weight' });
}
