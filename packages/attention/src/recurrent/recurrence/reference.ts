import type { ReferenceArray } from '@heddle/tensor';
import type { Named, RecurrenceRule, RecurrenceSizes } from './attributes.ts';

/** One row of a recurrence after another, as it is defined: state and output of all heads, in float64. */
export class ReferenceRecurrence {
  readonly #inputs: Named<ReferenceArray>;
  readonly #rule: RecurrenceRule;
  readonly #sizes: RecurrenceSizes;

  constructor(inputs: Named<ReferenceArray>, rule: RecurrenceRule) {
    const [K, Dk] = inputs.q.shape.slice(-2) as [number, number];
    const [H, Dv] = inputs.v.shape.slice(-2) as [number, number];
    this.#inputs = inputs;
    this.#rule = rule;
    this.#sizes = { K, H, Dk, Dv };
  }

  /** Values of a state. */
  get stateSize(): number {
    const { H, Dk, Dv } = this.#sizes;
    return H * Dk * Dv;
  }

  /** State `from` of an array of states; zeros where there is none. */
  initial(states: ReferenceArray | undefined, from: number): Float64Array {
    const size = this.stateSize;
    if (!states || from < 0) return new Float64Array(size);
    return states.data.slice(from * size, (from + 1) * size);
  }

  /** Takes row `row` into the state, and writes what the state has for its query. */
  step(row: number, state: Float64Array, out: Float64Array): void {
    const { q, k, v, decay, beta } = this.#inputs;
    const { K, H, Dk, Dv } = this.#sizes;
    for (let h = 0; h < H; h++) {
      const key = (row * K + Math.floor((h * K) / H)) * Dk;
      const factor = Math.exp(decay.data[row * H + h]!);
      for (let j = 0; j < Dv; j++) {
        const at = h * Dk * Dv + j;
        const value = (row * H + h) * Dv + j;
        let held = 0;
        for (let i = 0; i < Dk; i++) {
          state[at + i * Dv]! *= factor;
          held += k.data[key + i]! * state[at + i * Dv]!;
        }
        const taken = this.#rule === 'delta' ? (v.data[value]! - held) * beta!.data[row * H + h]! : v.data[value]!;
        let sum = 0;
        for (let i = 0; i < Dk; i++) {
          state[at + i * Dv]! += k.data[key + i]! * taken;
          sum += q.data[key + i]! * state[at + i * Dv]!;
        }
        out[value] = sum;
      }
    }
  }
}
