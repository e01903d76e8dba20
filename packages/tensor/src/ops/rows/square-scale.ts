import { floatLiteral } from '../../executors/webgpu/codegen/float-literal.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';

/**
 * What squares are multiplied by before they are added up for a norm with this epsilon: a power of 4, so that no digit changes,
 * small enough for the squares of a thousand values of 1e30 where epsilon is 1e-6. What it takes from small squares is less than f32 keeps beside
 * epsilon. Its root is what the inverse of the norm is multiplied by in the end.
 */
export const squareScale = (epsilon: number): number =>
  epsilon > 0 ? 4 ** -Math.min(50, Math.max(0, Math.floor((102 + Math.log2(epsilon)) / 2))) : 1;

/** The largest f32. */
const largest = (2 - 2 ** -23) * 2 ** 127;

/**
 * Values times `root`, a power of 2 below 1. Compilers of shaders may take a factor out of a sum of squares, which leaves f32
 * then, so WebGPU puts a limit between that no number reaches.
 */
const loweredOp: Op<{ readonly root: number }> = defineOp<{ readonly root: number }>({
  name: 'lowered',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: ({ outputGradients: [g], attributes: { root } }) => [g!.mul(root)],
  decompose: ([x], { root }) => [x!.mul(root)],
  lower: {
    webgpu: {
      expression: ([x], { root }, _, prelude) =>
        `${prelude.safe_max}(${x} * ${floatLiteral(root, prelude)}, ${floatLiteral(-largest * root, prelude)})`,
    },
  },
});

/** The squares of `x`, f32, times `squareScale(epsilon)`: finite where those of `x` are not. */
export function scaledSquares(x: Tensor, epsilon: number): Tensor {
  const root = Math.sqrt(squareScale(epsilon));
  const lowered = root === 1 ? x : recordOne(loweredOp, [x], { root });
  return lowered.mul(lowered);
}

/**
 * WGSL of the sum of the squares of four values times `squareScale(epsilon)`. The bits of the values go through an operation that
 * changes none, for a `size` is below 2^31: compilers take a factor out of a sum of squares otherwise, which leaves f32 then.
 */
export const scaledSquares4 = (four: string, epsilon: number, size: string, prelude: Prelude): string => {
  const root = Math.sqrt(squareScale(epsilon));
  if (root === 1) return `dot(${four}, ${four})`;
  return `${prelude.lowered_squares}(${four} * ${floatLiteral(root, prelude)}, ${size} >> 31u)`;
};

/** WGSL of 1 / sqrt(mean + epsilon), of a mean of squares that were multiplied by `squareScale`. */
export const inverseRoot = (mean: string, epsilon: number, prelude: Prelude): string => {
  const scale = squareScale(epsilon);
  return `(inverseSqrt(${mean} + ${floatLiteral(epsilon * scale, prelude)}) * ${floatLiteral(Math.sqrt(scale), prelude)})`;
};
