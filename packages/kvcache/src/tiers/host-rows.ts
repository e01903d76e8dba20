import type { HostKv } from '../kv-cache.ts';
import { isRows, type KvShape } from '../kv-shape.ts';

/** Room for rows of so many tokens in every store of rows. */
export function emptyRows(shape: KvShape, tokens: number): HostKv {
  return shape.layers.map((layer) =>
    Object.fromEntries(
      Object.entries(layer)
        .filter(([, store]) => isRows(store))
        .map(([name, { dtype, shape: sizes }]) => {
          const count = tokens * sizes[0]! * sizes[1]!;
          return [name, dtype === 'f16' ? new Uint16Array(count) : new Float32Array(count)];
        }),
    ),
  );
}

/** Copies rows of `count` tokens, of every store. */
export function copyRows(shape: KvShape, from: HostKv, at: number, to: HostKv, place: number, count: number): void {
  for (const [index, layer] of from.entries())
    for (const [name, values] of Object.entries(layer)) {
      const sizes = shape.layers[index]![name]!.shape;
      const size = sizes[0]! * sizes[1]!;
      to[index]![name]!.set(values.subarray(at * size, (at + count) * size), place * size);
    }
}

/** Rows of some tokens, on their own. */
export function sliceRows(shape: KvShape, from: HostKv, start: number, count: number): HostKv {
  const rows = emptyRows(shape, count);
  copyRows(shape, from, start, rows, 0, count);
  return rows;
}
