import type { OnnxBuilder } from '@heddle/tensor';

/** Keys or values without what is not finite: in a product, 0 times it would be NaN for those that do not attend to it. */
export interface FiniteRows {
  /** f32 `[B, S, K * D]`: 0 in place of heads that hold NaN or infinity. */
  readonly rows: string;
  /** f32 `[B, S, K]`: 1 for these heads, 0 for others. */
  readonly odd: string;
}

const largest = 3.4028234663852886e38;

/** Of f32 `[B, S, K * D]`: read once to find out, and once to copy. */
export function finiteRows(builder: OnnxBuilder, x: string, K: number, D: number): FiniteRows {
  const op = builder.op.bind(builder);
  const shaped = (value: string, shape: readonly number[]) =>
    op('Reshape', [value, builder.constant('i64', [shape.length], shape)]);
  const heads = shaped(x, [0, 0, K, D]);
  // sums of small parts: finite ones do not overflow
  const parts = builder.constant('f32', [D, 1], Array<number>(D).fill(1e-10));
  const bounded = op('LessOrEqual', [
    op('Abs', [op('MatMul', [heads, parts])]),
    builder.constant('f32', [], [largest]),
  ]);
  const rows = op('Where', [bounded, heads, builder.constant('f32', [], [0])]);
  const odd = builder.cast(op('Not', [bounded]), 'f32');
  return { rows: shaped(rows, [0, 0, K * D]), odd: shaped(odd, [0, 0, K]) };
}

/** Which of two are 1. */
export const either = (builder: OnnxBuilder, a: string, b: string): string => builder.op('Max', [a, b]);

/** x, and NaN where `meets`, bool, is true. */
export function spoiled(builder: OnnxBuilder, x: string, meets: string): string {
  return builder.op('Where', [meets, builder.constant('f32', [], [Number.NaN]), x]);
}

export const isPositive = (builder: OnnxBuilder, x: string): string =>
  builder.op('Greater', [x, builder.constant('f32', [], [0])]);
