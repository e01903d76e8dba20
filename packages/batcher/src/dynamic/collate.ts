import { aFunction, checkArgument, checkOptions, count, oneOf, optional, type Rule } from '../checks.ts';

/** Token rows made equally long. Row-major, shape [rows, columns]. */
export interface PaddedBatch {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns]. */
  readonly tokens: Int32Array;
  /** [rows, columns], 1 where a token stands and 0 where padding does. */
  readonly mask: Uint8Array;
  /** [rows], without padding. */
  readonly lengths: Int32Array;
}

/** Token rows one after the other, without padding. */
export interface PackedBatch {
  readonly rows: number;
  /** [all tokens]. */
  readonly tokens: Int32Array;
  /** [all tokens], the position of each in its row. */
  readonly positions: Int32Array;
  /** [all tokens], the row that each belongs to. */
  readonly segments: Int32Array;
  /** `[rows + 1]`; row i is `tokens.subarray(offsets[i], offsets[i + 1])`. */
  readonly offsets: Int32Array;
}

/** How `padded` pads. */
export interface PaddedOptions<I> {
  readonly tokensOf: (item: I) => ArrayLike<number>;
  /** 'left' puts every row's last token in the last column, as decoders need. Default 'right'. */
  readonly side?: 'left' | 'right';
  /** Default 0. */
  readonly padToken?: number;
  /** Columns are a multiple of it, for models compiled by shape. Default 1. */
  readonly multipleOf?: number;
}

/**
 * A `collate` that pads rows to the longest one. The arrays are the batch's own.
 *
 * @throws BatcherError ERR_ARGUMENT; so does what it gives if `tokensOf` answers no list
 */
export function padded<I>(options: PaddedOptions<I>): (items: readonly I[]) => PaddedBatch {
  checkOptions<PaddedOptions<I>>('padded', options, {
    tokensOf: aFunction,
    side: optional(oneOf('left', 'right')),
    padToken: optional(integer),
    multipleOf: optional(count(1)),
  });
  const { tokensOf, side = 'right', padToken = 0, multipleOf = 1 } = options;
  return (items) => {
    const list = rowsOf('padded', items, tokensOf);
    const longest = list.reduce((most, { length }) => Math.max(most, length), 0);
    const columns = Math.ceil(longest / multipleOf) * multipleOf;
    const tokens = new Int32Array(list.length * columns).fill(padToken);
    const mask = new Uint8Array(list.length * columns);
    for (const [row, values] of list.entries()) {
      const start = row * columns + (side === 'left' ? columns - values.length : 0);
      tokens.set(values, start);
      mask.fill(1, start, start + values.length);
    }
    return { rows: list.length, columns, tokens, mask, lengths: Int32Array.from(list, ({ length }) => length) };
  };
}

/**
 * A `collate` that joins rows without padding. The arrays are the batch's own.
 *
 * @throws BatcherError ERR_ARGUMENT; so does what it gives if `tokensOf` answers no list
 */
export function packed<I>(options: {
  readonly tokensOf: (item: I) => ArrayLike<number>;
}): (items: readonly I[]) => PackedBatch {
  checkOptions('packed', options, { tokensOf: aFunction });
  return (items) => {
    const list = rowsOf('packed', items, options.tokensOf);
    const offsets = new Int32Array(list.length + 1);
    for (const [row, { length }] of list.entries()) offsets[row + 1] = offsets[row]! + length;
    const total = offsets[list.length]!;
    const tokens = new Int32Array(total);
    const positions = new Int32Array(total);
    const segments = new Int32Array(total);
    for (const [row, values] of list.entries()) {
      const start = offsets[row]!;
      tokens.set(values, start);
      segments.fill(row, start, start + values.length);
      for (let i = 0; i < values.length; i++) positions[start + i] = i;
    }
    return { rows: list.length, tokens, positions, segments, offsets };
  };
}

const integer: Rule = { what: 'an integer', holds: Number.isInteger };
const rowOfTokens: Rule = {
  what: 'a list of tokens',
  holds: (value) => Array.isArray(value) || ArrayBuffer.isView(value),
};

function rowsOf<I>(
  operation: string,
  items: readonly I[],
  tokensOf: (item: I) => ArrayLike<number>,
): ArrayLike<number>[] {
  return items.map((item, i) => {
    const tokens = tokensOf(item);
    checkArgument(operation, `what tokensOf answers for item ${i}`, tokens, rowOfTokens);
    return tokens;
  });
}
