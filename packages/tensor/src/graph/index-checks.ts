import { IndexError } from '../checks/errors.ts';
import { evaluateDim, type SymbolValues } from '../dim.ts';
import type { IndexRange } from './bounded.ts';
import type { Executor, Storage } from './executor.ts';
import type { Tensor } from './tensor.ts';
import type { Variable } from './variable.ts';

/** For devices that have the rows of an update at hand. @throws IndexError, before anything is written */
export function checkRows({ name, shape }: Variable, rows: ArrayLike<number>): void {
  const count = shape[0] as number;
  for (let t = 0; t < rows.length; t++)
    if (rows[t]! >= count)
      throw new IndexError(
        `scatter: rows of ${name} must be below ${count}, got ${rows[t]} at place ${t}; nothing was written`,
      );
}

/** Marked indices of a graph. */
export interface IndexCheck extends IndexRange {
  readonly indices: Tensor;
}

/** The least and the largest index of each check, one behind the other: i32 `[2 checks]`. */
export function limitsOf(checks: readonly IndexCheck[]): Tensor {
  const { concat, where } = checks[0]!.indices.device.operations;
  const limits = checks.flatMap(({ indices, ignored }) => {
    const counted =
      ignored === undefined
        ? indices
        : ignored === 'negative'
          ? indices.maximum(0)
          : where(indices.equal(ignored), 0, indices);
    return [counted.min().reshape([1]), counted.max().reshape([1])];
  });
  return concat(limits, 0);
}

/**
 * The results of a run whose last one is that of `limitsOf`, without it.
 * @param owned whether results are the caller's, who gets none of them where an index is outside
 * @throws IndexError
 */
export async function checkedRun(
  executor: Executor,
  run: readonly Storage[] | Promise<readonly Storage[]>,
  checks: readonly IndexCheck[],
  symbols: SymbolValues,
  owned: boolean,
): Promise<readonly Storage[]> {
  const storages = await run;
  const results = storages.slice(0, -1);
  const limits = storages.at(-1)!;
  try {
    assertInside(checks, await executor.read(limits), symbols);
    if (owned) limits.dispose();
    return results;
  } catch (cause) {
    if (owned) for (const storage of storages) storage.dispose();
    throw cause;
  }
}

function assertInside(checks: readonly IndexCheck[], limits: ArrayLike<number>, symbols: SymbolValues): void {
  checks.forEach(({ operation, size, ignored }, i) => {
    const [least, largest, end] = [limits[2 * i]!, limits[2 * i + 1]!, evaluateDim(size, symbols)];
    if (least > largest || (least >= 0 && largest < end)) return; // none, or all inside
    const range = `[0, ${end})${ignored === undefined ? '' : ` or ${ignored}`}`;
    throw new IndexError(`${operation}: indices must be in ${range}, got ${least < 0 ? least : largest}`);
  });
}
