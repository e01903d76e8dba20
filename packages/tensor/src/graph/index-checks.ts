import { type Dim, evaluateDim, type SymbolValues } from '../dim.ts';
import { IndexError } from '../errors.ts';
import type { Executor, Storage } from '../executor.ts';
import { where } from '../ops/elementwise/elementwise.ts';
import { concat } from '../ops/movement/concat.ts';
import { max, min } from '../ops/reduce/extremum.ts';
import { defineOp, type Op } from './op.ts';
import { recordOne } from './record.ts';
import type { Tensor } from './tensor.ts';
import type { Variable } from './variable.ts';

/** What indices must be, and for whom. */
export interface IndexRange {
  readonly operation: string;
  /** They are from 0 up to, but not including, this. */
  readonly size: Dim;
  /** What outside is meant: one value, or all below 0. */
  readonly ignored?: number | 'negative';
}

/** Marks indices: nothing but the value itself, except to a device that checks. */
export const boundedOp: Op<IndexRange> = defineOp<IndexRange>({
  name: 'bounded',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: () => [undefined],
  decompose: ([x]) => [x!],
});

/** The same indices (i32), which a device that was opened with `debug` checks in each run. */
export function bounded(operation: string, indices: Tensor, size: Dim, ignored?: number): Tensor {
  return recordOne(boundedOp, [indices], { operation, size, ...(ignored === undefined ? {} : { ignored }) });
}

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
  const limits = checks.flatMap(({ indices, ignored }) => {
    const counted =
      ignored === undefined
        ? indices
        : ignored === 'negative'
          ? indices.maximum(0)
          : where(indices.equal(ignored), 0, indices);
    return [min(counted).reshape([1]), max(counted).reshape([1])];
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
