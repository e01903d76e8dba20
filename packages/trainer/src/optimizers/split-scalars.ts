import type { UpdateContext } from './optimizer.ts';

/** What each part is given, from what all are: scalars of its own. */
export function splitScalars(
  parts: readonly { scalars(step: number): readonly number[] }[],
  { scalars, ...shared }: UpdateContext,
): UpdateContext[] {
  let start = 0;
  return parts.map((part) => {
    const end = start + part.scalars(0).length;
    const own = scalars.slice(start, end);
    start = end;
    return { ...shared, scalars: own };
  });
}
