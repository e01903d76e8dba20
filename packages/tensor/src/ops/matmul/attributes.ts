import type { Dim } from '../../dim.ts';
import type { Shape } from '../../shape.ts';

export interface MatmulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Of the result, where it is not the operands' own. */
  readonly dtype?: 'f32' | 'f16';
}

/** The sizes of a product: rows of `a`, the common size, columns of `b`, and the batch in front. */
export function matmulSizes(
  a: Shape,
  b: Shape,
  { transposeA, transposeB }: MatmulAttributes,
): { m: Dim; k: Dim; k2: Dim; n: Dim } {
  const [ra, rb] = [a.length, b.length];
  return {
    m: a[transposeA ? ra - 1 : ra - 2]!,
    k: a[transposeA ? ra - 2 : ra - 1]!,
    k2: b[transposeB ? rb - 1 : rb - 2]!,
    n: b[transposeB ? rb - 2 : rb - 1]!,
  };
}
