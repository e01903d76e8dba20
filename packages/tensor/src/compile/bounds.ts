import { ArgumentError } from '../checks/errors.ts';
import type { SymbolValues } from '../dim.ts';
import type { Graph } from '../graph/graph.ts';

/** The symbolic dimensions of a graph, each with the most that it can be. */
export class Bounds {
  readonly names: readonly string[];
  readonly byName: ReadonlyMap<string, number>;
  /** All of them at their bounds. */
  readonly sizes: SymbolValues;
  readonly #owner: string;
  readonly #symbols: Graph['symbols'];

  /** @param owner what errors name */
  constructor(owner: string, symbols: Graph['symbols']) {
    this.#owner = owner;
    this.#symbols = symbols;
    this.names = symbols.map(({ name }) => name);
    this.byName = new Map(symbols.map(({ name, bound }) => [name, bound]));
    this.sizes = Object.fromEntries(this.byName);
  }

  /** @throws ArgumentError where a dimension has no size, or one beyond its bound. Called in each run: allocates nothing. */
  check(sizes: SymbolValues): void {
    for (let i = 0; i < this.#symbols.length; i++) {
      const { name, bound } = this.#symbols[i]!;
      const size = sizes[name];
      if (size === undefined || !Number.isInteger(size) || size < 0 || size > bound)
        throw new ArgumentError(
          `${this.#owner}: dimension ${name} must be a whole number up to its bound ${bound}, got ${size}`,
        );
    }
  }
}
