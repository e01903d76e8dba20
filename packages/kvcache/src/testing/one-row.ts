import type { KvBatch } from '../kv-cache.ts';

/** A batch without rows, with one that nobody writes in place of none. */
export function withOneRow(inputs: KvBatch['inputs']): KvBatch['inputs'] {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [
      name,
      value instanceof Int32Array && value.length === 0 ? Int32Array.of(-1) : value,
    ]),
  );
}
