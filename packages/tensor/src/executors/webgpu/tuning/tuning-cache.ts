import { ArgumentError } from '../../../checks/errors.ts';

/** What was measured for one class of shapes. */
export interface TuningRecord {
  /** The fastest. */
  readonly choice: string;
  /** GPU time of each choice, in microseconds. */
  readonly microseconds: Readonly<Record<string, number>>;
}

/** By adapter, then by operation with dtypes and sizes: plain data, to be kept in a file. */
export type TuningJson = Readonly<Record<string, Readonly<Record<string, TuningRecord>>>>;

/**
 * Which ways of computing are fastest where, as `tune()` measured it: pass one to `openWebGpu({ tuning })`, write
 * `JSON.stringify(cache)` to a file, and make the next one from what `JSON.parse` gives. Serves any number of devices.
 */
export class TuningCache {
  readonly #adapters = new Map<string, Map<string, TuningRecord>>();

  /** @throws ArgumentError for anything but what `toJSON` gives */
  constructor(json: TuningJson = {}) {
    for (const [adapter, records] of entriesOf(json, 'a tuning cache'))
      for (const [shapeClass, record] of entriesOf(records, `the records of ${adapter}`)) {
        assertRecord(record, shapeClass);
        this.set(adapter, shapeClass, record);
      }
  }

  /** What was measured for a class of shapes on an adapter. */
  get(adapter: string, shapeClass: string): TuningRecord | undefined {
    return this.#adapters.get(adapter)?.get(shapeClass);
  }
  /** Keeps what was measured. */
  set(adapter: string, shapeClass: string, record: TuningRecord): void {
    const records = this.#adapters.get(adapter) ?? new Map<string, TuningRecord>();
    this.#adapters.set(adapter, records.set(shapeClass, record));
  }
  /** All of it, for a file: `new TuningCache(json)` reads it. */
  toJSON(): TuningJson {
    return Object.fromEntries([...this.#adapters].map(([adapter, records]) => [adapter, Object.fromEntries(records)]));
  }
}

function entriesOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ArgumentError(`TuningCache: ${what} must be an object, got ${value === null ? 'null' : typeof value}`);
  return Object.entries(value);
}

function assertRecord(record: unknown, shapeClass: string): asserts record is TuningRecord {
  const { choice, microseconds } = (record ?? {}) as Partial<TuningRecord>;
  if (
    typeof choice !== 'string' ||
    entriesOf(microseconds, `the times of ${shapeClass}`).some(([, us]) => typeof us !== 'number')
  )
    throw new ArgumentError(`TuningCache: ${shapeClass} needs a choice and microseconds`);
}
