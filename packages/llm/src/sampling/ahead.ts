import {
  arange,
  cast,
  type Dim,
  multiplyDims,
  reshape,
  scatterAdd,
  sum,
  type Tensor,
  take,
  where,
} from '@heddle/tensor';

/** How many drafts stand before each row, i32 `[R]`, by the drafts themselves, i32 `[R, K]`, in which -1 is none. */
export function draftsBefore(ahead: Tensor): Tensor {
  return sum(cast(ahead.greaterEqual(0), 'i32'), -1);
}

/** Counts `[R, V]`, each generated token twice, with the drafts that stand before the rows. */
export function countedAhead(counts: Tensor, ahead: Tensor): Tensor {
  const [rows, V] = counts.shape as [Dim, number];
  const total = multiplyDims(rows, ahead.shape[1]!);
  const start = reshape(arange(counts.device, rows), [rows, 1]).mul(V);
  const places = reshape(start.add(ahead.maximum(0)), [total]);
  const twice = reshape(cast(ahead.greaterEqual(0), 'i32').mul(2), [total]);
  return counts.add(reshape(scatterAdd(multiplyDims(rows, V), places, twice), [rows, V]));
}

/** History `[R, C]` of the given lengths `[R, 1]` with the drafts that stand before the rows. */
export function historyAhead(history: Tensor, lengths: Tensor, ahead: Tensor): Tensor {
  const capacity = history.shape[1] as number;
  const place = reshape(arange(history.device, capacity), [1, capacity]);
  let all = history;
  for (let k = 0; k < (ahead.shape[1] as number); k++) {
    const draft = ahead.slice(1, k, k + 1);
    all = where(place.equal(lengths.add(k)).and(draft.greaterEqual(0)), draft, all);
  }
  return all;
}

/**
 * Which rows count, bool `[R]`: those before which exactly the drafts were chosen that they were computed with. Rows of a sequence
 * follow each other.
 */
export function accepted(tokens: Tensor, ahead: Tensor): Tensor {
  const rows = tokens.shape[0] as Dim;
  const before = draftsBefore(ahead);
  const first = arange(tokens.device, rows).sub(before);
  let counts = tokens.greaterEqual(0);
  for (let k = 0; k < (ahead.shape[1] as number); k++) {
    const chosen = take(tokens, first.add(k).maximum(0).minimum(arange(tokens.device, rows)));
    const draft = reshape(ahead.slice(1, k, k + 1), [rows]);
    counts = counts.and(before.lessEqual(k).or(chosen.equal(draft)));
  }
  return counts;
}

/** How many rows that count there are of each row's lane, i32 `[R]`; with `tokens`, how many of them with the row's token. */
export function countOfLane(lanes: Tensor, counts: Tensor, tokens?: Tensor): Tensor {
  const rows = lanes.shape[0] as Dim;
  const down = (x: Tensor) => reshape(x, [rows, 1]);
  const across = (x: Tensor) => reshape(x, [1, rows]);
  const same = down(lanes).equal(across(lanes)).and(across(counts));
  return sum(cast(tokens ? same.and(down(tokens).equal(across(tokens))) : same, 'i32'), -1);
}
