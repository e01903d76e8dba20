import { type Tensor, take } from '@heddle/tensor';
import type { StateStore } from '../kv-shape.ts';
import { remainder, type StorePlace } from './token-content.ts';

/** States are whole numbers below this prime, which f16 holds exactly. */
const prime = 499;
const factor = 31;

/**
 * What stands for a state: each token changes every value by `31 s + c + e`, modulo a prime, with c of the token and e of the
 * value's place. The order of tokens matters, and what was before them: a state of other tokens is another one.
 */
export interface StateChange {
  /** The change by some tokens: `factor * s + sum + count * e`. */
  readonly factor: number;
  readonly sum: number;
  readonly count: number;
}
export const unchanged: StateChange = { factor: 1, sum: 0, count: 0 };

/** A change, and then that of one more token of a sequence whose first content is `origin`. */
export function changeBy(before: StateChange, token: number, origin: number): StateChange {
  return {
    factor: (before.factor * factor) % prime,
    sum: (before.sum * factor + (token + 3) * 97 + origin) % prime,
    count: (before.count * factor + 1) % prime,
  };
}

/** The state after a change of zeros, `[...shape]`. */
export function stateOf(change: StateChange, { index, store }: StorePlace<StateStore>): number[] {
  const size = store.shape.reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, place) => (change.sum + change.count * constant(index, place)) % prime);
}
const constant = (index: number, place: number) => (59 * index + 101 * place) % prime;

/** Changes of a step on a device, f32 `[W]`, and the sequence of each, i32 `[W]`. */
export interface DeviceChanges {
  readonly of: Tensor;
  readonly factor: Tensor;
  readonly sum: Tensor;
  readonly count: Tensor;
}

/** The states `[W, ...shape]` after changes of those that a step begins with, `[B, ...shape]`. */
export function statesOf(
  before: Tensor,
  changes: DeviceChanges,
  places: Tensor,
  place: StorePlace<StateStore>,
): Tensor {
  const { shape } = place.store;
  const [W] = changes.of.shape;
  const column = (values: Tensor) => values.reshape([W!, ...shape.map(() => 1)]);
  const offset = remainder(places.mul(101).add(59 * place.index)).reshape([1, ...shape]);
  return remainder(
    take(before, changes.of)
      .cast('f32')
      .mul(column(changes.factor))
      .add(column(changes.sum))
      .add(column(changes.count).mul(offset)),
  );
}
