import { f16ToF32, f32ToF16 } from '@heddle/tensor';
import { normal } from './numbers.ts';

/** Sizes and settings of a packed attention, to make a `PackedCase` of. */
export interface PackedOptions {
  /** Rows of each sequence in the step. */
  readonly rows: readonly number[];
  /** Tokens of each sequence that were cached before. */
  readonly before: readonly number[];
  /** Rows that belong to no sequence, spread between the others. */
  readonly idle?: number;
  readonly cached?: boolean;
  readonly blockSize?: number;
  readonly H?: number;
  readonly K?: number;
  readonly D?: number;
  readonly dtype?: 'f32' | 'f16';
  readonly seed?: number;
  readonly spec?: { readonly scale?: number; readonly window?: number; readonly softcap?: number };
  /** A pool made before, and its slots. */
  readonly pool?: { readonly keys: readonly number[]; readonly values: readonly number[] };
  readonly slots?: number;
}

/** A packed attention over a paged cache, as numbers. */
export interface PackedCase {
  readonly sizes: { T: number; H: number; K: number; D: number; B: number; N: number; blockSize: number };
  readonly data: {
    readonly q: readonly number[];
    readonly k: readonly number[];
    readonly v: readonly number[];
    readonly segments: readonly number[];
    readonly positions: readonly number[];
    readonly keys: readonly number[];
    readonly values: readonly number[];
    readonly blockTable: readonly number[];
    readonly lengths: readonly number[];
  };
  readonly dtype: 'f32' | 'f16';
  readonly cached: boolean;
  readonly spec: { readonly scale?: number; readonly window?: number; readonly softcap?: number };
}

/** Random numbers for a step; pages of the sequences lie mixed in the pool, their free slots hold large numbers. */
export function packedCase(options: PackedOptions): PackedCase {
  const {
    rows,
    before,
    idle = 0,
    cached = true,
    blockSize = 8,
    H = 4,
    K = 2,
    D = 16,
    dtype = 'f32',
    seed = 1,
  } = options;
  const B = rows.length;
  const N = Math.max(1, ...before.map((length) => Math.ceil(length / blockSize)));
  const belongs = rows.flatMap((count, b) =>
    Array.from({ length: count }, (_, i) => ({ b, position: before[b]! + i })),
  );
  for (let i = 0; i < idle; i++) belongs.splice((i * 3) % (belongs.length + 1), 0, { b: -1, position: i });
  const T = belongs.length;
  const slots = options.slots ?? (B * N + 1) * blockSize;
  const blocks = Math.floor(slots / blockSize);
  // 7 is prime to the number of blocks unless that is a multiple of it
  const stride = blocks % 7 === 0 ? 5 : 7;
  const blockTable = Array.from({ length: B * N }, (_, i) => (i * stride + 3) % blocks);
  const round = (list: number[]) => (dtype === 'f16' ? Array.from(f16ToF32(f32ToF16(Float32Array.from(list)))) : list);
  const f32 = (part: number, count: number) => Array.from(Float32Array.from(normal(seed * 10 + part, count)));

  const used = new Set<number>();
  before.forEach((length, b) => {
    for (let j = 0; j < length; j++)
      used.add(blockTable[b * N + Math.floor(j / blockSize)]! * blockSize + (j % blockSize));
  });
  const pool = (part: number) =>
    round(f32(part, slots * K * D).map((x, i) => (used.has(Math.floor(i / (K * D))) ? x : 900)));
  return {
    sizes: { T, H, K, D, B, N, blockSize },
    data: {
      q: f32(1, T * H * D),
      k: f32(2, T * K * D),
      v: f32(3, T * K * D),
      segments: belongs.map(({ b }) => b),
      positions: belongs.map(({ position }) => position),
      keys: options.pool?.keys ?? pool(4),
      values: options.pool?.values ?? pool(5),
      blockTable,
      lengths: [...before],
    },
    dtype,
    cached,
    spec: options.spec ?? {},
  };
}

/** What the case must give, in float64: each row and head over its list of visible keys. */
export function packedExpected({ sizes: { T, H, K, D, N, blockSize }, data, spec, cached }: PackedCase): number[] {
  const { scale = 1 / Math.sqrt(D), window = Infinity, softcap } = spec;
  const vector = (list: readonly number[], row: number, heads: number, head: number) =>
    list.slice((row * heads + head) * D, (row * heads + head + 1) * D);
  const out: number[] = [];
  for (let t = 0; t < T; t++)
    for (let h = 0; h < H; h++) {
      const kvHead = Math.floor(h / (H / K));
      const sequence = data.segments[t]!;
      const seen: { key: readonly number[]; value: readonly number[] }[] = [];
      const see = (keys: readonly number[], values: readonly number[], row: number) =>
        seen.push({ key: vector(keys, row, K, kvHead), value: vector(values, row, K, kvHead) });
      for (let j = 0; cached && sequence >= 0 && j < data.lengths[sequence]!; j++)
        if (data.positions[t]! - j < window)
          see(
            data.keys,
            data.values,
            data.blockTable[sequence * N + Math.floor(j / blockSize)]! * blockSize + (j % blockSize),
          );
      for (let u = 0; u < T; u++) {
        const back = data.positions[t]! - data.positions[u]!;
        if (sequence >= 0 && data.segments[u] === sequence && back >= 0 && back < window) see(data.k, data.v, u);
      }
      const query = vector(data.q, t, H, h);
      const scores = seen.map(({ key }) => {
        const score = scale * key.reduce((sum, x, d) => sum + x * query[d]!, 0);
        return softcap === undefined ? score : softcap * Math.tanh(score / softcap);
      });
      const weights = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let d = 0; d < D; d++)
        out.push(seen.reduce((total, { value }, i) => total + (weights[i]! / sum) * value[d]!, 0));
    }
  return out;
}
