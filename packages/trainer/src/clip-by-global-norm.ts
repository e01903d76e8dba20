import { ArgumentError, div, type Tensor } from '@heddle/tensor';
import type { GradientTransform } from './optimizer.ts';

/** Euclidean norm over all values of all gradients, an f32 scalar. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  const squares = gradients.map((gradient) => {
    const g = gradient.cast('f32');
    return g.mul(g).sum();
  });
  return squares.reduce((a, b) => a.add(b)).sqrt();
}

/**
 * Scales all gradients by one factor so that their global norm is at most `maxNorm`; smaller ones stay as they are. The
 * factor is min(1, maxNorm / (norm + 1e-6)), as in PyTorch's `clip_grad_norm_`.
 * @throws ArgumentError where `maxNorm` is not positive
 */
export function clipByGlobalNorm(maxNorm: number): GradientTransform<readonly []> {
  if (!(maxNorm > 0)) throw new ArgumentError(`clipByGlobalNorm: the norm must be positive, got ${maxNorm}`);
  return {
    init: () => [],
    scalars: () => [],
    update(gradients, state) {
      const norm = globalNorm(gradients);
      const factor = div(maxNorm, norm.add(1e-6)).minimum(1);
      return { gradients: gradients.map((gradient) => gradient.mul(factor.cast(gradient.dtype))), state };
    },
  };
}
