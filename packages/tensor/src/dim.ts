import { describe } from './checks/describe.ts';
import { ArgumentError } from './checks/errors.ts';

/** A symbolic dimension whose size is known only when a plan runs; never larger than `bound`. */
export interface DimSymbol {
  readonly name: string;
  readonly bound: number;
}

/** A size: a number, or a polynomial with integer coefficients over symbolic dimensions (`T`, `B*L`, `S + 1`). */
export type Dim = number | SymbolicDim;

/** Sizes of the symbolic dimensions in one run. */
export type SymbolValues = Readonly<Record<string, number>>;

interface Term {
  readonly symbols: readonly DimSymbol[];
  readonly coefficient: number;
}

/** A size that depends on symbolic dimensions. Kept in a normal form, so equal sizes have equal keys. */
export class SymbolicDim {
  readonly terms: readonly Term[];
  /** The normal form as text, for example `2*B*T+1`: equal for equal sizes. */
  readonly key: string;

  constructor(terms: readonly Term[]) {
    this.terms = terms;
    this.key = terms.map(termKey).join('+');
  }
  /** `key`, for messages. */
  toString(): string {
    return this.key;
  }
  /** `key`. */
  toJSON(): string {
    return this.key;
  }
}

const productKey = (symbols: readonly DimSymbol[]) => symbols.map((s) => s.name).join('*');

function termKey({ symbols, coefficient }: Term): string {
  if (symbols.length === 0) return String(coefficient);
  return coefficient === 1 ? productKey(symbols) : `${coefficient}*${productKey(symbols)}`;
}

const termsOf = (dim: Dim): readonly Term[] =>
  typeof dim === 'number' ? [{ symbols: [], coefficient: dim }] : dim.terms;

function normalize(terms: readonly Term[]): Dim {
  const merged = new Map<string, Term>();
  for (const term of terms) {
    const key = productKey(term.symbols);
    merged.set(key, { symbols: term.symbols, coefficient: (merged.get(key)?.coefficient ?? 0) + term.coefficient });
  }
  const kept = [...merged.entries()]
    .filter(([, term]) => term.coefficient !== 0)
    .sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1))
    .map(([, term]) => term);
  if (kept.length === 0) return 0;
  if (kept.length === 1 && kept[0]!.symbols.length === 0) return kept[0]!.coefficient;
  return new SymbolicDim(kept);
}

/**
 * The symbolic dimension `name`, at most `bound`.
 * @throws ArgumentError for a name that is none, or a bound that is no positive integer
 */
export function symbolicDim(name: string, bound: number): SymbolicDim {
  if (typeof name !== 'string' || !/^[A-Za-z_]\w*$/.test(name))
    throw new ArgumentError(`symbolicDim: '${name}' is no name for a dimension`);
  if (!Number.isSafeInteger(bound) || bound < 1)
    throw new ArgumentError(`symbolicDim: the bound of ${name} must be a positive integer, got ${bound}`);
  return new SymbolicDim([{ symbols: [{ name, bound }], coefficient: 1 }]);
}

/** Whether a value is a size: a number or symbolic dimensions. */
export function isDim(value: unknown): value is Dim {
  return typeof value === 'number' || value instanceof SymbolicDim;
}

/** @throws ArgumentError for what is no size */
function checkDims(operation: string, ...dims: readonly unknown[]): void {
  const wrong = dims.findIndex((dim) => !isDim(dim));
  if (wrong >= 0)
    throw new ArgumentError(`${operation}: sizes are numbers and symbolic dimensions, got ${describe(dims[wrong])}`);
}

/** The sum of two sizes, of which each may depend on symbolic dimensions. @throws ArgumentError for what is no size */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  checkDims('addDims', a, b);
  return normalize([...termsOf(a), ...termsOf(b)]);
}

/** The difference of two sizes. @throws ArgumentError for what is no size */
export function subtractDims(a: Dim, b: Dim): Dim {
  checkDims('subtractDims', a, b);
  return addDims(a, multiplyDims(b, -1));
}

/** The product of two sizes. @throws ArgumentError for what is no size */
export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b + 0; // -0 would be another size in a key
  checkDims('multiplyDims', a, b);
  if (typeof a === 'number') return scaled(b as SymbolicDim, a);
  if (typeof b === 'number') return scaled(a, b);
  const products = termsOf(a).flatMap((x) =>
    termsOf(b).map((y) => ({
      symbols: [...x.symbols, ...y.symbols].sort((p, q) => (p.name < q.name ? -1 : 1)),
      coefficient: x.coefficient * y.coefficient,
    })),
  );
  return normalize(products);
}

function scaled(dim: SymbolicDim, factor: number): Dim {
  if (factor === 1) return dim;
  if (factor === 0) return 0;
  return new SymbolicDim(dim.terms.map(({ symbols, coefficient }) => ({ symbols, coefficient: coefficient * factor })));
}

/**
 * `a / b` where it is exact for every value of the symbolic dimensions and `b` is a single product; otherwise undefined.
 * @throws ArgumentError for what is no size
 */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  checkDims('divideDims', a, b);
  if (typeof a === 'number' && typeof b === 'number') return b !== 0 && a % b === 0 ? a / b : undefined;
  if (dimsEqual(a, b)) return 1;
  const [divisor, ...rest] = termsOf(b);
  if (!divisor || rest.length > 0 || divisor.coefficient === 0) return undefined;
  const quotient: Term[] = [];
  for (const term of termsOf(a)) {
    const symbols = [...term.symbols];
    for (const symbol of divisor.symbols) {
      const at = symbols.findIndex((s) => s.name === symbol.name);
      if (at < 0) return undefined;
      symbols.splice(at, 1);
    }
    if (term.coefficient % divisor.coefficient !== 0) return undefined;
    quotient.push({ symbols, coefficient: term.coefficient / divisor.coefficient });
  }
  return normalize(quotient);
}

/** Whether two sizes are equal whatever the symbolic dimensions are. @throws ArgumentError for what is no size */
export function dimsEqual(a: Dim, b: Dim): boolean {
  return a === b || (a instanceof SymbolicDim && b instanceof SymbolicDim && a.key === b.key);
}

/** The size in a run. @throws ArgumentError where a symbolic dimension has no value */
export function evaluateDim(dim: Dim, values: SymbolValues): number {
  if (typeof dim === 'number') return dim;
  checkDims('evaluateDim', dim);
  let total = 0;
  for (const { symbols, coefficient } of dim.terms) {
    let product = coefficient;
    for (const { name } of symbols) {
      const value = values[name];
      if (value === undefined) throw new ArgumentError(`dimension ${name} of ${dim.key} has no value in this run`);
      product *= value;
    }
    total += product;
  }
  return total;
}

/** The symbolic dimensions that `dim` depends on. */
export function symbolsOf(dim: Dim): readonly DimSymbol[] {
  return typeof dim === 'number' ? [] : dim.terms.flatMap((term) => term.symbols);
}

/** The most that a size can be: its symbolic dimensions at their bounds. */
export function largestOf(dim: Dim): number {
  if (typeof dim === 'number') return dim;
  return evaluateDim(dim, Object.fromEntries(symbolsOf(dim).map(({ name, bound }) => [name, bound])));
}
