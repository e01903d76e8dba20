import type { Tensor } from '@heddle/tensor';
import type { UpdateContext } from './optimizer.ts';

/** The scalars of each part, from the scalars of all. */
export function splitScalars(
  parts: readonly { scalars(step: number): readonly number[] }[],
  scalars: readonly Tensor[],
): UpdateContext[] {
  let start = 0;
  return parts.map((part) => {
    const end = start + part.scalars(0).length;
    const own = scalars.slice(start, end);
    start = end;
    return { scalars: own };
  });
}
