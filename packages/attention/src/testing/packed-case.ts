import { f16ToF32, f32ToF16 } from '@heddle/tensor';
import { normal } from './numbers.ts';
import { type ScorePair, type ScorePairName, scorePairs } from './score-pairs.ts';

/** Numbers of a spec. */
interface PackedSpec {
  readonly scale?: number;
  readonly window?: number;
  readonly keepFirst?: number;
  readonly softcap?: number;
}

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
  /** Values of a head, by default D; 'in keys': the first half of each key is its value. */
  readonly V?: number | 'in keys';
  readonly sinks?: boolean;
  /** Whether blocks in front of each sequence were given back, as far as its window lets them (all but two). */
  readonly starts?: boolean;
  /** Whether every third token before was dropped, and positions are those of the tokens that are left. */
  readonly dropped?: boolean;
  readonly dtype?: 'f32' | 'f16';
  readonly seed?: number;
  readonly spec?: PackedSpec;
  /** Score and mask functions. */
  readonly functions?: ScorePairName;
  /** A pool made before, and its slots. */
  readonly pool?: { readonly keys: readonly number[]; readonly values: readonly number[] };
  readonly slots?: number;
}

/** A packed attention over a paged cache, as numbers. */
export interface PackedCase {
  readonly sizes: { T: number; H: number; K: number; D: number; V: number; B: number; N: number; blockSize: number };
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
    readonly starts?: readonly number[];
    readonly keyPositions?: readonly number[];
    readonly sinks?: readonly number[];
  };
  readonly dtype: 'f32' | 'f16';
  /** Whether values are the leading part of keys, and there are no others. */
  readonly valuesInKeys: boolean;
  readonly cached: boolean;
  readonly spec: PackedSpec;
  readonly functions?: ScorePairName;
  /** In place of those of `functions`, for what is expected. */
  readonly score?: ScorePair['score'];
  readonly mask?: ScorePair['mask'];
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
  const valuesInKeys = options.V === 'in keys';
  const V = options.V === 'in keys' ? D / 2 : (options.V ?? D);
  const B = rows.length;
  /** Position of cached token j. */
  const positionOf = (j: number) => (options.dropped ? Math.floor(j * 1.5) : j);
  const starts = before.map((length) =>
    options.starts ? Math.max(0, Math.floor(length / blockSize) - 2) * blockSize : 0,
  );
  const N = Math.max(1, ...before.map((length) => Math.ceil(length / blockSize)));
  const belongs = rows.flatMap((count, b) =>
    Array.from({ length: count }, (_, i) => ({ b, position: positionOf(before[b]!) + i })),
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
  const keyPositions = Array<number>(slots).fill(-1);
  before.forEach((length, b) => {
    for (let j = starts[b]!; j < length; j++) {
      const place = j - starts[b]!;
      const slot = blockTable[b * N + Math.floor(place / blockSize)]! * blockSize + (place % blockSize);
      used.add(slot);
      keyPositions[slot] = positionOf(j);
    }
  });
  const pool = (part: number, width: number) =>
    round(f32(part, slots * K * width).map((x, i) => (used.has(Math.floor(i / (K * width))) ? x : 900)));
  return {
    sizes: { T, H, K, D, V, B, N, blockSize },
    data: {
      q: f32(1, T * H * D),
      k: f32(2, T * K * D),
      v: f32(3, T * K * V),
      segments: belongs.map(({ b }) => b),
      positions: belongs.map(({ position }) => position),
      keys: options.pool?.keys ?? pool(4, D),
      values: options.pool?.values ?? pool(5, V),
      blockTable,
      lengths: [...before],
      ...(options.starts ? { starts } : {}),
      ...(options.dropped ? { keyPositions } : {}),
      ...(options.sinks ? { sinks: f32(6, H) } : {}),
    },
    dtype,
    valuesInKeys,
    cached,
    spec: options.spec ?? {},
    ...(options.functions ? { functions: options.functions } : {}),
  };
}

/** What the case must give, in float64: each row and head over its list of visible keys. */
export const packedExpected = (c: PackedCase): number[] => packedExpectedWithLse(c).out;

/** The same with the log-sum-exps; the lowest f32 for rows that see nothing. */
export function packedExpectedWithLse(c: PackedCase): { readonly out: number[]; readonly lse: number[] } {
  const { T, H, K, D, V } = c.sizes;
  const { data, spec, valuesInKeys } = c;
  const { scale = 1 / Math.sqrt(D), softcap } = spec;
  const scoring = { ...(c.functions && scorePairs[c.functions]), ...c };
  const [out, lse]: [number[], number[]] = [[], []];
  const vector = (list: readonly number[], row: number, width: number, head: number, pitch: number) =>
    list.slice((row * K + head) * pitch, (row * K + head) * pitch + width);
  for (let t = 0; t < T; t++)
    for (let h = 0; h < H; h++) {
      const head = Math.floor(h / (H / K));
      const query = data.q.slice((t * H + h) * D, (t * H + h + 1) * D);
      const seen = seenBy(c, t).flatMap(({ from, row, position }) => {
        const [keys, values] = from === 'cache' ? [data.keys, data.values] : [data.k, data.v];
        const key = vector(keys, row, D, head, D);
        const product = scale * key.reduce((sum, x, d) => sum + x * query[d]!, 0);
        const capped = softcap === undefined ? product : softcap * Math.tanh(product / softcap);
        const place = { b: data.segments[t]!, h, q: data.positions[t]!, k: position };
        const score = scoring.score ? scoring.score(capped, place) : capped;
        if (score === Number.NEGATIVE_INFINITY || scoring.mask?.(place) === false) return [];
        return [{ score, value: valuesInKeys ? key.slice(0, V) : vector(values, row, V, head, V) }];
      });
      const scores = seen.map(({ score }) => score);
      const logits = data.sinks ? [...scores, data.sinks[h]!] : scores;
      const highest = Math.max(...logits);
      const sum = logits.reduce((total, score) => total + Math.exp(score - highest), 0);
      lse.push(logits.length === 0 ? -3.4028234663852886e38 : highest + Math.log(sum));
      for (let d = 0; d < V; d++)
        out.push(seen.reduce((total, { value }, i) => total + (Math.exp(scores[i]! - highest) / sum) * value[d]!, 0));
    }
  return { out, lse };
}

/** A key that a row sees: a slot of the cache or a row of the step, and its position. */
interface SeenKey {
  readonly from: 'cache' | 'step';
  readonly row: number;
  readonly position: number;
}

/** The keys that a row sees, functions aside. */
function seenBy({ sizes, data, spec, cached }: PackedCase, t: number): SeenKey[] {
  const { T, N, blockSize } = sizes;
  const { window = Infinity, keepFirst = 0 } = spec;
  const [sequence, position] = [data.segments[t]!, data.positions[t]!];
  if (sequence < 0) return [];
  const isNear = (at: number) => position - at < window || at < keepFirst;
  const seen: SeenKey[] = [];
  const start = data.starts?.[sequence] ?? 0;
  for (let j = start; cached && j < data.lengths[sequence]!; j++) {
    const place = j - start;
    const slot = data.blockTable[sequence * N + Math.floor(place / blockSize)]! * blockSize + (place % blockSize);
    const at = data.keyPositions ? data.keyPositions[slot]! : j;
    if (isNear(at)) seen.push({ from: 'cache', row: slot, position: at });
  }
  for (let u = 0; u < T; u++)
    if (data.segments[u] === sequence && data.positions[u]! <= position && isNear(data.positions[u]!))
      seen.push({ from: 'step', row: u, position: data.positions[u]! });
  return seen;
}
