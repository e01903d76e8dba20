import { arange, concat, cumsum, matmul, pad, type Tensor, where } from '@heddle/tensor';
import type { Named, RecurrenceRule, RecurrenceSizes } from './attributes.ts';
import { unitLowerInverse } from './unit-lower-inverse.ts';

/** Rows of a batch and the state of each of its sequences after them. */
export interface RecurrenceResult {
  /** `[B, L, H, Dv]` */
  readonly out: Tensor;
  /** `[B, H, Dk, Dv]` */
  readonly state: Tensor;
}

/**
 * A recurrence in chunks of rows: products within each chunk, all at once, and one step of the state for each chunk. A value that is
 * no number reaches the rows before it that are in its chunk.
 * Source: https://arxiv.org/abs/2412.06464 (delta), https://arxiv.org/abs/2405.21060 (additive)
 */
export function chunkedRecurrence(
  inputs: Named<Tensor>,
  rule: RecurrenceRule,
  { K, H, Dk, Dv }: RecurrenceSizes,
  most: number,
): RecurrenceResult {
  const [B, L] = inputs.q.shape as [number, number];
  const C = Math.min(most, L);
  const count = Math.ceil(L / C);
  const G = H / K;
  // rows that fill the last chunk take nothing in and let nothing decay
  const chunks = (x: Tensor, heads: readonly number[]) => {
    const rest = x.shape.slice(2);
    const none = rest.map(() => 0);
    const filled = count * C === L ? x : pad(x, [0, 0, ...none], [0, count * C - L, ...none]);
    const width = x.rank === 4 ? [x.shape[3]!] : [];
    const order = [0, 3, 4, 1, 2, ...width.map(() => 5)];
    return filled.reshape([B, count, C, ...heads, ...width]).permute(order);
  };
  const [q, k] = [chunks(inputs.q, [K, 1]), chunks(inputs.k, [K, 1])];
  const v = chunks(inputs.v, [K, G]);
  const sums = cumsum(chunks(inputs.decay, [K, G]), -1);
  const [row, column] = [sums.reshape([B, K, G, count, C, 1]), sums.reshape([B, K, G, count, 1, C])];
  const last = row.slice(-2, C - 1);

  const place = arange(v.device, C);
  const [i, j] = [place.reshape([C, 1]), place.reshape([1, C])];
  const upTo = j.lessEqual(i);
  const decays = where(upTo, row.sub(column), 0).exp();
  const within = where(upTo, matmul(q, k, { transposeB: true }).mul(decays), 0);
  const [fromStart, toEnd] = [row.exp(), last.sub(row).exp()];

  let values = v;
  let held: Tensor | undefined;
  if (rule === 'delta') {
    const beta = chunks(inputs.beta!, [K, G]).reshape([B, K, G, count, C, 1]);
    const earlier = where(j.less(i), matmul(k, k, { transposeB: true }).mul(decays).mul(beta), 0);
    const inverse = unitLowerInverse(earlier);
    values = matmul(inverse, v.mul(beta));
    held = matmul(inverse, k.mul(beta.mul(fromStart)));
  }
  const queries = q.mul(fromStart);
  const keys = k.mul(toEnd);
  const factors = last.exp();
  const chunkOf = (x: Tensor, at: number, ...shape: number[]) => x.slice(3, at, at + 1).reshape([B, K, G, ...shape]);
  let state = inputs.state?.reshape([B, K, G, Dk, Dv]);
  const outs: Tensor[] = [];
  for (let at = 0; at < count; at++) {
    const own = chunkOf(values, at, C, Dv);
    const taken = held && state ? own.sub(matmul(chunkOf(held, at, C, Dk), state)) : own;
    const inner = matmul(chunkOf(within, at, C, C), taken);
    outs.push(state ? inner.add(matmul(chunkOf(queries, at, C, Dk), state)) : inner);
    const added = matmul(chunkOf(keys, at, C, Dk), taken, { transposeA: true });
    state = state ? state.mul(chunkOf(factors, at, 1, 1)).add(added) : added;
  }
  const all = concat(
    outs.map((out) => out.reshape([B, K, G, 1, C, Dv])),
    3,
  );
  const out = all
    .permute([0, 3, 4, 1, 2, 5])
    .reshape([B, count * C, H, Dv])
    .slice(1, 0, L);
  return { out, state: state!.reshape([B, H, Dk, Dv]) };
}
