import type { HostArray } from '../../dtype.ts';
import { checkRows } from '../../graph/index-checks.ts';
import type { Variable } from '../../graph/variable.ts';
import { sizeOf } from '../../shape.ts';
import { arrayOf, type RunValues, type Source, storageOf } from './source.ts';
import type { OnnxStorage } from './storage.ts';

/** An update of a graph, with where a run finds its values. */
export interface UpdatePlan {
  readonly variable: Variable;
  readonly value: Source;
  readonly rows: Source | undefined;
  /** Whether the value's array belongs to nobody else, so that the variable may keep it. */
  readonly keep: boolean;
}

/** A write with everything that it reads in hand. */
interface Write {
  readonly storage: OnnxStorage;
  readonly data: HostArray;
  readonly rows: Int32Array | undefined;
  readonly keep: boolean;
}

/** Writes variables after a run. Reads everything and checks rows before the first write. @throws IndexError */
export function applyUpdates(updates: readonly UpdatePlan[], values: RunValues): void {
  if (updates.length === 0) return;
  const written = updates.map(({ variable }) => storageOf(variable));
  const read = (source: Source) => {
    const data = arrayOf(source, values);
    return source.kind !== 'result' && written.some((storage) => storage.data === data) ? data.slice() : data;
  };
  const writes = updates.map(({ variable, value, rows, keep }, i): Write => {
    const storage = written[i]!;
    const places = rows && (read(rows) as Int32Array);
    if (places) checkRows(variable, places);
    return { storage, data: read(value), rows: places, keep };
  });
  for (const { storage, data, rows, keep } of writes) {
    if (rows) scatterRows(storage, data, rows);
    else if (keep) storage.replace(data);
    else storage.data.set(data);
  }
}

/** Copies rows, those that lie behind each other at once; negative ones are passed over. */
function scatterRows({ type, data: target }: OnnxStorage, data: HostArray, rows: Int32Array): void {
  const inner = sizeOf(type.shape.slice(1));
  for (let t = 0; t < rows.length; ) {
    const row = rows[t]!;
    let end = t + 1;
    if (row >= 0) {
      while (end < rows.length && rows[end] === row + end - t) end++;
      target.set(data.subarray(t * inner, end * inner), row * inner);
    }
    t = end;
  }
}
