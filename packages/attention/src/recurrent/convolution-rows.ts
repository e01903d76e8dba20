import {
  DTypeError,
  formatShape,
  isFloat,
  ShapeError,
  shapesEqual,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';

/** Rows `[..., C]` and the weight of each channel at each distance, `[C, W]`. */
interface ConvolutionTypes {
  readonly x: TensorType;
  readonly weight: TensorType;
  readonly bias: TensorType | undefined;
}

/** @throws ShapeError, DTypeError naming the operation */
export function checkConvolution(name: string, { x, weight, bias }: ConvolutionTypes, axes: 2 | 3): void {
  const C = x.shape.at(-1);
  const [channels, width] = weight.shape;
  if (x.shape.length !== axes || weight.shape.length !== 2 || typeof C !== 'number' || channels !== C)
    throw new ShapeError(
      `${name}: x must be ${axes === 3 ? '[B, L, C]' : '[T, C]'} and the weight [C, W], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`,
    );
  if (typeof width !== 'number' || width < 1)
    throw new ShapeError(`${name}: the weight's W must be a number from 1, got ${formatShape(weight.shape)}`);
  if (bias && !shapesEqual(bias.shape, [C]))
    throw new ShapeError(`${name}: the bias must be [${C}], got ${formatShape(bias.shape)}`);
  for (const [what, type] of Object.entries({ x, weight, bias }))
    if (type && !isFloat(type.dtype)) throw new DTypeError(`${name}: ${what} must be f32 or f16, got ${type.dtype}`);
}

/** The sum of rows, the furthest first, each times its column of the weight: f32. */
export function weightedRows(rows: readonly Tensor[], weight: Tensor, bias: Tensor | undefined): Tensor {
  const terms = rows.map((row, i) =>
    row.mul(
      weight
        .slice(1, i, i + 1)
        .flatten()
        .cast('f32'),
    ),
  );
  const sum = terms.reduce((a, b) => a.add(b));
  return bias ? sum.add(bias.cast('f32')) : sum;
}
