import { ArgumentError } from '../../../checks/errors.ts';
import type { Dim, DimSymbol, SymbolicDim } from '../../../dim.ts';

interface Entry {
  readonly coefficients: readonly number[];
  /** By term: the symbolic dimensions of its product, by their places. */
  readonly factors: readonly (readonly number[])[];
  /** The symbolic dimensions that it depends on, a bit each. */
  readonly bits: number;
  value: number;
  /** The round in which the value was computed. */
  round: number;
}

/** Evaluates sizes for one run after another, each once a run and without allocating: a step asks for hundreds. */
export class SizeCache {
  /** The symbolic dimensions that sizes asked for since the last reset depend on, a bit each. */
  asked = 0;
  readonly #names: readonly string[];
  readonly #values: (number | undefined)[];
  readonly #entries = new Map<string, Entry>();
  #round = 0;

  constructor(symbols: readonly DimSymbol[]) {
    this.#names = symbols.map(({ name }) => name);
    this.#values = symbols.map(() => undefined);
  }

  /** Takes the sizes of a run. @returns the symbolic dimensions that changed, a bit each */
  update(values: Readonly<Record<string, number>>): number {
    let changed = 0;
    for (let i = 0; i < this.#names.length; i++) {
      const value = values[this.#names[i]!];
      if (value === this.#values[i]) continue;
      this.#values[i] = value;
      changed |= 1 << i;
    }
    if (changed !== 0) this.#round++;
    return changed;
  }

  /** A size in this run. @throws ArgumentError where a symbolic dimension has no value */
  readonly size = (dim: Dim): number => {
    if (typeof dim === 'number') return dim;
    let entry = this.#entries.get(dim.key);
    if (!entry) {
      entry = this.#entryOf(dim);
      this.#entries.set(dim.key, entry);
    }
    this.asked |= entry.bits;
    if (entry.round !== this.#round) this.#evaluate(entry, dim);
    return entry.value;
  };

  #evaluate(entry: Entry, dim: SymbolicDim): void {
    let total = 0;
    for (let t = 0; t < entry.coefficients.length; t++) {
      let product = entry.coefficients[t]!;
      const factors = entry.factors[t]!;
      for (let f = 0; f < factors.length; f++) {
        const value = this.#values[factors[f]!];
        if (value === undefined) throw new ArgumentError(`a dimension of ${dim.key} has no value in this run`);
        product *= value;
      }
      total += product;
    }
    entry.value = total;
    entry.round = this.#round;
  }

  #entryOf({ terms }: SymbolicDim): Entry {
    const factors = terms.map(({ symbols }) => symbols.map(({ name }) => this.#names.indexOf(name)));
    const bits = factors.flat().reduce((all, place) => all | (1 << place), 0);
    return { coefficients: terms.map(({ coefficient }) => coefficient), factors, bits, value: 0, round: -1 };
  }
}
