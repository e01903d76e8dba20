/** Made when a weight of the right shape is read: a damaged file may claim any size. */
export type Order = () => readonly number[];

/** Where the rows of a weight come from. */
export interface Arrangement {
  /** The file's tensors, whose rows follow each other, and how many each has; one where it is not said. */
  readonly parts: readonly { readonly name: string; readonly rows?: number }[];
  /** Row i of the weight is row `rows[i]` of theirs, within each group of as many rows. */
  readonly rows?: Order;
  /** The same of the values of each row. */
  readonly columns?: Order;
  /** What the file has of each value: itself plus 1, or minus its exponential. */
  readonly values?: 'plus-one' | 'minus-exp';
  /** The shape that the file has, where it is another of as many values. */
  readonly shape?: readonly number[];
  /** Keys and values of the heads of a latent attention apart, keys as `[heads, R, plain]`. */
  readonly latent?: LatentParts;
  /** An older name, under which files have the weight as it is. */
  readonly older?: string;
}

/** What makes keys and values of a latent row of R values: of each head `plain` rows and `value` rows. */
export interface LatentParts {
  readonly heads: number;
  readonly plain: number;
  readonly value: number;
  readonly latent: number;
}

/** Rows of heads in pairs of neighbours (2i, 2i + 1), in the order of halves (i, i + D / 2). */
export function pairsAsHalves(headDim: number): readonly number[] {
  const half = headDim / 2;
  return Array.from({ length: headDim }, (_, i) => (i < half ? 2 * i : 2 * (i - half) + 1));
}

/**
 * Value heads in turns, one of each key head at a time, in the order in which those of a key head are neighbours.
 * @param before rows that come first and stay
 */
export function turnsAsGroups(keyHeads: number, valueHeads: number, size: number, before = 0): readonly number[] {
  const each = valueHeads / keyHeads;
  const rows = Array.from({ length: before }, (_, i) => i);
  for (let head = 0; head < valueHeads; head++) {
    const turn = (head % each) * keyHeads + Math.floor(head / each);
    for (let i = 0; i < size; i++) rows.push(before + turn * size + i);
  }
  return rows;
}

/**
 * What several inputs of a delta net are, one after the other, in the order in which each key head has its part of all of them.
 * @param sizes of each key head's part of each input
 */
export function inputsByHead(keyHeads: number, sizes: readonly number[]): readonly number[] {
  const starts = sizes.map((_, i) => keyHeads * sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const rows: number[] = [];
  for (let head = 0; head < keyHeads; head++)
    for (const [i, size] of sizes.entries())
      for (let row = 0; row < size; row++) rows.push(starts[i]! + head * size + row);
  return rows;
}
