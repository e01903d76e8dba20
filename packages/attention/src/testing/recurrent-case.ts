import { normal } from './numbers.ts';

/** Rows of one sequence with the sizes of their heads, and numbers for them. */
export interface RecurrentCase {
  readonly sizes: { readonly K: number; readonly H: number; readonly Dk: number; readonly Dv: number };
  readonly q: number[];
  readonly k: number[];
  readonly v: number[];
  /** Between -1 and 0. */
  readonly logDecay: number[];
  /** Between 0 and 1. */
  readonly beta: number[];
}

export function recurrentCase(seed: number, rows: number, sizes: RecurrentCase['sizes']): RecurrentCase {
  const { K, H, Dk, Dv } = sizes;
  const bent = (salt: number) => normal(seed + salt, rows * H).map((x) => 1 / (1 + Math.exp(-x)));
  // keys of about unit length
  const scaled = (salt: number) => normal(seed + salt, rows * K * Dk).map((x) => x / Math.sqrt(Dk));
  return {
    ...{ sizes, q: scaled(0), k: scaled(1), v: normal(seed + 2, rows * H * Dv) },
    ...{ logDecay: bent(3).map((x) => -x), beta: bent(4) },
  };
}

/**
 * A recurrence written down as matrices, one head at a time: outputs `[rows, H, Dv]` and the state `[H, Dk, Dv]` after each row.
 * 'delta': the state loses what it has for k before it takes v in.
 */
export function recurrentExpected(
  { sizes: { K, H, Dk, Dv }, q, k, v, logDecay, beta }: RecurrentCase,
  rule: 'delta' | 'additive',
  first?: ArrayLike<number>,
): { out: number[]; states: number[][] } {
  const rows = logDecay.length / H;
  const out = Array.from({ length: rows * H * Dv }, () => 0);
  const states = Array.from({ length: rows }, () => Array.from({ length: H * Dk * Dv }, () => 0));
  for (let h = 0; h < H; h++) {
    const group = Math.floor(h / (H / K));
    let S = Array.from({ length: Dk }, (_, i) =>
      Array.from({ length: Dv }, (_, j) => first?.[(h * Dk + i) * Dv + j] ?? 0),
    );
    for (let t = 0; t < rows; t++) {
      const vector = (x: number[]) => x.slice((t * K + group) * Dk, (t * K + group + 1) * Dk);
      const [key, query] = [vector(k), vector(q)];
      const a = Math.exp(logDecay[t * H + h]!);
      const b = rule === 'delta' ? beta[t * H + h]! : 1;
      S = S.map((row, i) =>
        row.map((value, j) => {
          const kept =
            rule === 'delta' ? value - b * key[i]! * key.reduce((sum, x, m) => sum + x * S[m]![j]!, 0) : value;
          return a * kept + b * key[i]! * v[(t * H + h) * Dv + j]!;
        }),
      );
      for (let j = 0; j < Dv; j++) out[(t * H + h) * Dv + j] = query.reduce((sum, x, i) => sum + x * S[i]![j]!, 0);
      states[t]!.splice(h * Dk * Dv, Dk * Dv, ...S.flat());
    }
  }
  return { out, states };
}
