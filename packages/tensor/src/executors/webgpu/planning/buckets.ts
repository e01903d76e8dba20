import type { Dim, DimSymbol, SymbolValues } from '../../../dim.ts';

/** The sizes that one plan serves: for each symbolic dimension the least and the most that it may be. */
export interface Bucket {
  readonly key: string;
  readonly least: SymbolValues;
  readonly most: SymbolValues;
}

/** The power of two that a size is served by; at most the bound. */
function ceilingOf(size: number, bound: number): number {
  let ceiling = 1;
  while (ceiling < size) ceiling *= 2;
  return Math.min(ceiling, bound);
}

/** Which bucket of each dimension a run's sizes are in, as a number: cheap, since every run asks. */
export function bucketIndex(symbols: readonly DimSymbol[], values: SymbolValues): number {
  let index = 0;
  for (const { name } of symbols) {
    const size = values[name]!;
    index = index * 32 + (size <= 1 ? 0 : 32 - Math.clz32(size - 1));
  }
  return index;
}

export function bucketOf(symbols: readonly DimSymbol[], values: SymbolValues): Bucket {
  const least: Record<string, number> = {};
  const most: Record<string, number> = {};
  for (const { name, bound } of symbols) {
    const ceiling = ceilingOf(values[name]!, bound);
    most[name] = ceiling;
    least[name] = ceilingOf(values[name]!, Number.MAX_SAFE_INTEGER) / 2 + 1;
    if (values[name]! <= 1) least[name] = 0;
  }
  const key = symbols.map(({ name }) => `${name}<=${most[name]}`).join(' ');
  return { key, least, most };
}

/** All sizes up to the bounds. */
export function wholeBucket(symbols: readonly DimSymbol[]): Bucket {
  const most = Object.fromEntries(symbols.map(({ name, bound }) => [name, bound]));
  const least = Object.fromEntries(symbols.map(({ name }) => [name, 0]));
  return { key: symbols.map(({ name, bound }) => `${name}<=${bound}`).join(' '), least, most };
}

/** The most that a size can be in a bucket. */
export function boundOf(dim: Dim, { least, most }: Bucket): number {
  if (typeof dim === 'number') return dim;
  let total = 0;
  for (const { symbols, coefficient } of dim.terms) {
    const values = coefficient > 0 ? most : least;
    total += symbols.reduce((product, { name }) => product * values[name]!, coefficient);
  }
  return Math.max(0, total);
}
