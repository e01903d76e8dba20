import type { Tensor } from '@heddle/tensor';
import type { KvStore, RowsStore } from '../kv-shape.ts';

/** Below this, and prime. */
const contents = 9973;
const values = 499;

/**
 * What stands for the keys and values of a token: a number that depends on all tokens up to it, in their order, and on whom
 * they belong to, as they do in a model.
 */
export function contentAfter(before: number, token: number): number {
  return (before * 31 + (token + 3) * 97 + 11) % contents;
}
/** The content before the first token. */
export function contentOf(namespace: string): number {
  let content = 1;
  for (const letter of namespace) content = contentAfter(content, letter.charCodeAt(0));
  return content;
}

/** A store of a shape, with what tells its rows from those of others. */
export interface StorePlace<S extends KvStore = KvStore> {
  readonly layer: number;
  readonly name: string;
  readonly index: number;
  readonly store: S;
}

/** `[heads, width]` of a token in a store: whole numbers from 1 that f16 holds exactly, for up to four layers. */
export function rowOf(content: number, { layer, index, store }: StorePlace<RowsStore>): number[] {
  const [heads, width] = store.shape;
  const first = content * 37 + index * 59;
  return Array.from({ length: heads * width }, (_, place) => 1 + ((first + place * 101) % values) + layer * 500);
}

/** The same on a device: contents f32 `[T]`, places f32 `[heads, width]` from 0 on, to `[T, heads, width]`. */
export function rowsOf(content: Tensor, places: Tensor, { layer, index, store }: StorePlace<RowsStore>): Tensor {
  const [T] = content.shape;
  const sum = content
    .reshape([T!, 1, 1])
    .mul(37)
    .add(index * 59)
    .add(places.reshape([1, ...store.shape]).mul(101));
  return remainder(sum).add(1 + layer * 500);
}

/** Of whole numbers that f32 holds exactly. */
export const remainder = (sum: Tensor): Tensor => sum.sub(sum.add(0.5).div(values).floor().mul(values));
