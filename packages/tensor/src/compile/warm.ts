import type { SymbolValues } from '../dim.ts';
import type { Program } from '../graph/executor.ts';

/** How far `warm` is. */
export interface WarmProgress {
  /** Kernels that are compiled. */
  readonly done: number;
  readonly total: number;
}

/** Sizes that stand for each bucket: powers of two up to each bound, and the bound, in every combination. */
export function everyBucket(bounds: ReadonlyMap<string, number>): SymbolValues[] {
  let all: SymbolValues[] = [{}];
  for (const [name, bound] of bounds) {
    const sizes: number[] = [];
    for (let size = 1; size < bound; size *= 2) sizes.push(size);
    sizes.push(bound);
    all = all.flatMap((symbols) => sizes.map((size) => ({ ...symbols, [name]: size })));
  }
  return all;
}

/** Prepares a program for all of these sizes side by side. @throws what the first of them that fails throws, when all are through */
export async function prepareAll(
  program: Program,
  list: readonly SymbolValues[],
  onProgress?: (progress: WarmProgress) => void,
): Promise<void> {
  const progress = list.map(() => ({ done: 0, total: 0 }));
  const sum = (of: 'done' | 'total') => progress.reduce((all, each) => all + each[of], 0);
  const preparing = list.map((symbols, i) =>
    program.prepare(symbols, (done, total) => {
      progress[i] = { done, total };
      if (done > 0) onProgress?.({ done: sum('done'), total: sum('total') });
    }),
  );
  const failed = (await Promise.allSettled(preparing)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
