import type { ReferenceArray, ReferenceLowering } from '@heddle/tensor';
import { lowestScore } from '../dense/mask-value.ts';
import { named, type PackedAttributes, type PackedSetting, packedSizes, settingsOf } from './attributes.ts';

/** A key that a row sees: its head's first places in the arrays. */
interface SeenKey {
  readonly keys: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  readonly slot: number;
}

/** An attention with another setting is decomposed. */
const knownSettings: readonly PackedSetting[] = [
  'sinks',
  'keepFirst',
  'valueDim',
  'starts',
  'keyPositions',
  'lse',
  'softcap',
  'quantized',
];

/** Row by row and head by head: the visible keys, their weights, the weighted sum of the values. */
export const packedReference: ReferenceLowering<PackedAttributes> = {
  supports: ({ inputs, attributes }) => settingsOf(inputs, attributes).every((name) => knownSettings.includes(name)),
  run({ inputs, attributes }) {
    const { scale, softcap, lse: withLse } = attributes;
    const { H, K, G, D, V, T } = packedSizes(inputs, attributes) as Record<'T' | 'H' | 'K' | 'G' | 'D' | 'V', number>;
    const arrays = named(inputs, attributes);
    const [q, sinks] = [arrays.q.data, arrays.sinks?.data];
    const valueWidth = arrays.v ? V : D;
    const visible = visibleKeys(arrays, attributes);
    const out = new Float64Array(T * H * V);
    const lses = new Float64Array(T * H).fill(lowestScore);
    for (let row = 0; row < T; row++) {
      const seen = visible(row);
      for (let head = 0; head < H; head++) {
        const query = (row * H + head) * D;
        const group = Math.floor(head / G);
        const scores = seen.map(({ keys, slot }) => {
          let score = 0;
          for (let d = 0; d < D; d++) score += q[query + d]! * keys[(slot * K + group) * D + d]!;
          return softcap === undefined ? score * scale : softcap * Math.tanh((score * scale) / softcap);
        });
        const logits = sinks ? [...scores, sinks[head]!] : scores;
        if (logits.length === 0) continue;
        const highest = logits.reduce((a, b) => Math.max(a, b));
        const sum = logits.reduce((total, score) => total + Math.exp(score - highest), 0);
        lses[row * H + head] = highest + Math.log(sum);
        seen.forEach(({ values, slot }, i) => {
          const weight = Math.exp(scores[i]! - highest) / sum;
          const at = (row * H + head) * V;
          for (let d = 0; d < V; d++) out[at + d]! += weight * values[(slot * K + group) * valueWidth + d]!;
        });
      }
    }
    return withLse ? [out, lses] : [out];
  },
};

/** Where the keys and values that a row sees are. */
function visibleKeys(
  arrays: ReturnType<typeof named<ReferenceArray>>,
  { window = Infinity, keepFirst = 0, cache }: PackedAttributes,
): (row: number) => readonly SeenKey[] {
  const { data: segments } = arrays.segments;
  const { data: positions } = arrays.positions;
  const floats = (words: ReferenceArray | undefined, factors: ReferenceArray | undefined) =>
    words && (cache?.bits ? unpack(words.data, factors!.data, cache.bits) : words.data);
  const keys = floats(arrays.keys, arrays.keyScales);
  const values = floats(arrays.values, arrays.valueScales) ?? keys;
  const [ownKeys, ownValues] = [arrays.k.data, (arrays.v ?? arrays.k).data];
  const blocks = arrays.table?.shape[1] ?? 0;
  return (row) => {
    const [sequence, position] = [segments[row]!, positions[row]!];
    if (sequence < 0) return [];
    const isNear = (at: number) => position - at < window || at < keepFirst;
    const found: SeenKey[] = [];
    const start = arrays.starts?.data[sequence] ?? 0;
    for (let j = start; cache && j < arrays.lengths!.data[sequence]!; j++) {
      const { blockSize } = cache;
      const block = arrays.table!.data[sequence * blocks + Math.floor((j - start) / blockSize)]!;
      const slot = block * blockSize + ((j - start) % blockSize);
      if (isNear(arrays.keyPositions?.data[slot] ?? j)) found.push({ keys: keys!, values: values!, slot });
    }
    for (let other = 0; other < segments.length; other++)
      if (segments[other] === sequence && positions[other]! <= position && isNear(positions[other]!))
        found.push({ keys: ownKeys, values: ownValues, slot: other });
    return found;
  };
}

/** Signed integers of `bits` bits, the first in the lowest bits of a word, times the factors of their groups. */
function unpack(words: ReferenceArray['data'], factors: ReferenceArray['data'], bits: number): Float64Array {
  const count = 32 / bits;
  const values = new Float64Array(words.length * count);
  const group = values.length / factors.length;
  for (let i = 0; i < values.length; i++) {
    const word = words[Math.floor(i / count)]!;
    values[i] = ((word << (32 - bits * ((i % count) + 1))) >> (32 - bits)) * factors[Math.floor(i / group)]!;
  }
  return values;
}
