import { ArgumentError, checkArguments, clip, div, type Tensor } from '@heddle/tensor';
import type { GradientTransform } from './optimizer.ts';
import { aboveZero } from './options.ts';

/** Euclidean norm over all values of all gradients, an f32 scalar. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  checkArguments('globalNorm', 'tensors', { gradients });
  checkArguments(
    'globalNorm',
    'tensor',
    Object.fromEntries(gradients.map((gradient, i) => [`gradients[${i}]`, gradient])),
  );
  if (gradients.length === 0) throw new ArgumentError('globalNorm: takes at least one gradient, got none');
  // graphs are computed in the order in which they are looked at: the last layers' gradients are there first, and what they are
  // computed from is free before the first layers' begin
  const squares = [...gradients].reverse().map((gradient) => {
    // other than what an update makes of it, so that an f16 gradient is held as it is and not in f32 for both
    const g = gradient.dtype === 'f16' ? gradient.abs().cast('f32') : gradient;
    return g.mul(g).sum();
  });
  return squares.reduce((a, b) => a.add(b)).sqrt();
}

/**
 * Scales all gradients by one factor so that their global norm is at most `maxNorm`; smaller ones stay as they are. The
 * factor is min(1, maxNorm / (norm + 1e-6)), as in PyTorch's `clip_grad_norm_`.
 * @throws ArgumentError where `maxNorm` is not positive; from `update` where updates are made in the backward pass
 */
export function clipByGlobalNorm(maxNorm: number): GradientTransform<readonly []> {
  aboveZero('clipByGlobalNorm', 'the norm', maxNorm);
  return {
    init: () => [],
    scalars: () => [],
    update(gradients, state, _, { norm: known, inBackward }) {
      if (inBackward)
        throw new ArgumentError(
          'clipByGlobalNorm: needs all gradients, and updates in the backward pass have one at a time: clip by value, or leave out updateInBackward',
        );
      const norm = known?.gradients === gradients ? known.value : globalNorm(gradients);
      const factor = div(maxNorm, norm.add(1e-6)).minimum(1);
      return { gradients: gradients.map((gradient) => gradient.mul(factor.cast(gradient.dtype))), state };
    },
  };
}

/**
 * Limits every value of every gradient to [-maxValue, maxValue], as PyTorch's `clip_grad_value_`.
 * @throws ArgumentError where `maxValue` is not positive
 */
export function clipByValue(maxValue: number): GradientTransform<readonly []> {
  aboveZero('clipByValue', 'the value', maxValue);
  return {
    init: () => [],
    scalars: () => [],
    update: (gradients, state) => ({
      gradients: gradients.map((gradient) => clip(gradient, -maxValue, maxValue)),
      state,
    }),
  };
}
