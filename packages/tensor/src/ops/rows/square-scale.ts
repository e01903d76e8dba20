import { floatLiteral } from '../../executors/webgpu/codegen/float-literal.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';

/**
 * What squares are multiplied by before they are added up for a norm with this epsilon: a power of 4, so that no digit changes,
 * small enough for the squares of a thousand values of 1e30 where epsilon is 1e-6. What it takes from small squares is less than f32 keeps beside
 * epsilon. Its root is what the inverse of the norm is multiplied by in the end.
 */
export const squareScale = (epsilon: number): number =>
  epsilon > 0 ? 4 ** -Math.min(50, Math.max(0, Math.floor((102 + Math.log2(epsilon)) / 2))) : 1;

/** WGSL of 1 / sqrt(mean + epsilon), of a mean of squares that were multiplied by `squareScale`. */
export const inverseRoot = (mean: string, epsilon: number, prelude: Prelude): string => {
  const scale = squareScale(epsilon);
  return `(inverseSqrt(${mean} + ${floatLiteral(epsilon * scale, prelude)}) * ${floatLiteral(Math.sqrt(scale), prelude)})`;
};
