import {
  checkArguments,
  checkOptions,
  concat,
  DTypeError,
  defineOp,
  formatShape,
  isFloat,
  type Op,
  recordOne,
  ShapeError,
  shapesEqual,
  sizeScalar,
  type Tensor,
  type TensorType,
  take,
  where,
} from '@heddle/tensor';
import { rotaryOnnx } from './rotary.onnx.ts';
import { rotaryWebGpu } from './rotary.wgsl.ts';
import type { RotaryTable } from './rotary-table.ts';

/** How the rotary operation turns: inputs are x, positions, cos, sin. */
export interface RotaryAttributes {
  /** Pairs are neighbours (2i, 2i + 1); otherwise component i is paired with component i + R / 2. */
  readonly interleaved: boolean;
  /** Turns back: the transpose of the rotation, which is its gradient. */
  readonly inverse: boolean;
}

const rotaryOp: Op<RotaryAttributes> = defineOp({
  name: 'rotary',
  shape: ([x, positions, cos, sin]) => [rotaryType(x!, positions!, cos!, sin!)],
  gradient: ({ inputs: [, positions, cos, sin], outputGradients: [g], attributes }) => [
    recordOne(rotaryOp, [g!, positions!, cos!, sin!], { ...attributes, inverse: !attributes.inverse }),
    undefined,
    undefined,
    undefined,
  ],
  decompose: ([x, positions, cos, sin], attributes) => [rotate(x!, positions!, cos!, sin!, attributes)],
  lower: { webgpu: rotaryWebGpu, onnx: rotaryOnnx },
});

function rotaryType(x: TensorType, positions: TensorType, cos: TensorType, sin: TensorType): TensorType {
  if (!isFloat(x.dtype) || !isFloat(cos.dtype) || cos.dtype !== sin.dtype || positions.dtype !== 'i32')
    throw new DTypeError(
      `rotary: takes x and table f32 or f16 and positions i32, got ${x.dtype}, ${cos.dtype}, ${sin.dtype} and ${positions.dtype}`,
    );
  if (x.shape.length < 2 || !shapesEqual(positions.shape, x.shape.slice(0, -2)))
    throw new ShapeError(
      `rotary: x must be [..., H, D] and positions [...], got ${formatShape(x.shape)} and ${formatShape(positions.shape)}`,
    );
  const [half, dim] = [cos.shape[1], x.shape.at(-1)];
  const fits = typeof half === 'number' && typeof dim === 'number' && 2 * half <= dim;
  if (cos.shape.length !== 2 || !shapesEqual(cos.shape, sin.shape) || !fits)
    throw new ShapeError(
      `rotary: the table must be two tensors [P, R / 2] with R at most the head's ${dim}, got ${formatShape(cos.shape)} and ${formatShape(sin.shape)}`,
    );
  return { shape: x.shape, dtype: x.dtype };
}

/** The rotation in tensor operations: rows of the table, and each pair turned. */
function rotate(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, attributes: RotaryAttributes): Tensor {
  const half = cos.shape[1] as number;
  const front = x.shape.slice(0, -1);
  const row = (table: Tensor) =>
    take(table, positions)
      .reshape([...positions.shape, 1, half])
      .cast('f32');
  const inside = positions.greaterEqual(0).and(positions.less(sizeScalar(x.device, cos.shape[0]!, 'i32')));
  // a position that the table does not have must not pass for another
  const factors = (table: Tensor) => where(inside.reshape([...positions.shape, 1, 1]), row(table), Number.NaN);
  const [c, s] = [factors(cos), attributes.inverse ? factors(sin).neg() : factors(sin)];
  const turned = x.slice(-1, 0, 2 * half);
  const parts = attributes.interleaved
    ? [0, 1].map((odd) =>
        turned
          .reshape([...front, half, 2])
          .slice(-1, odd, odd + 1)
          .reshape([...front, half]),
      )
    : [turned.slice(-1, 0, half), turned.slice(-1, half)];
  const [a, b] = [parts[0]!.cast('f32'), parts[1]!.cast('f32')];
  const rotated = [a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))];
  const joined = attributes.interleaved
    ? concat(
        rotated.map((part) => part.reshape([...front, half, 1])),
        -1,
      ).reshape([...front, 2 * half])
    : concat(rotated, -1);
  return concat([joined.cast(x.dtype), ...(turned === x ? [] : [x.slice(-1, 2 * half)])], -1);
}

/**
 * Rotary position embedding: turns each pair of components of every head by its position's angles.
 *
 * @param x `[T, H, D]`, `[B, L, H, D]` or any `[..., H, D]`, f32 or f16; with a table narrower than D (R < D) only the first R
 *   components turn
 * @param positions i32, the axes of x before H; outside the table the components that turn are NaN
 * @param table `[P, R / 2]` each, see `rotaryTable`; a constant to gradients
 * @param options `interleaved`: pairs are neighbours, as in GPT-J; by default the halves of the rotated part are paired, as in
 *   Hugging Face checkpoints
 * @returns shape and dtype of x, computed in f32
 * @throws ShapeError, DTypeError
 * Source: https://arxiv.org/abs/2104.09864
 */
export function rotary(
  x: Tensor,
  positions: Tensor,
  table: RotaryTable,
  options: { readonly interleaved?: boolean } = {},
): Tensor {
  checkArguments('rotary', 'tensor', { x, positions });
  checkOptions('rotary', table, { cos: 'tensor', sin: 'tensor' });
  checkOptions('rotary', options, { interleaved: 'boolean?' });
  const { interleaved = false } = options;
  return recordOne(rotaryOp, [x, positions, table.cos, table.sin], { interleaved, inverse: false });
}
