import type { ReferenceArray, ReferenceLowering } from '@heddle/tensor';
import type { PackedAttributes } from './packed-attention.ts';

/** Row by row and head by head: the visible keys, their weights, the weighted sum of the values. */
export const packedReference: ReferenceLowering<PackedAttributes> = {
  run({ inputs, outputs: [out], attributes: { scale, window = Infinity, softcap, cache } }) {
    const [q, k, v, segments, positions, pool, valuePool, blockTable, lengths, ...scales] = inputs.map(
      ({ data }) => data,
    );
    const floats = (words: typeof pool, factors: typeof pool) =>
      cache?.bits ? unpack(words!, factors!, cache.bits) : words;
    const [keys, values] = [floats(pool, scales[0]), floats(valuePool, scales[1])];
    const [T, H, D] = out!.shape as [number, number, number];
    const K = inputs[1]!.shape[1]!;
    const blocks = inputs[7]?.shape[1] ?? 0;
    const result = new Float64Array(T * H * D);

    /** Where the keys and values that a row sees are: arrays and first places of the row's vectors in them. */
    function visible(row: number): { from: 'cache' | 'step'; at: number }[] {
      const [sequence, position] = [segments![row]!, positions![row]!];
      if (sequence < 0) return [];
      const found: { from: 'cache' | 'step'; at: number }[] = [];
      for (let j = 0; cache && j < lengths![sequence]!; j++) {
        const block = blockTable![sequence * blocks + Math.floor(j / cache.blockSize)]!;
        if (position - j < window)
          found.push({ from: 'cache', at: (block * cache.blockSize + (j % cache.blockSize)) * K * D });
      }
      for (let other = 0; other < T; other++) {
        const back = position - positions![other]!;
        if (segments![other] === sequence && back >= 0 && back < window)
          found.push({ from: 'step', at: other * K * D });
      }
      return found;
    }

    for (let row = 0; row < T; row++) {
      const seen = visible(row);
      for (let head = 0; head < H && seen.length > 0; head++) {
        const query = (row * H + head) * D;
        const group = Math.floor((head * K) / H) * D;
        const scores = seen.map(({ from, at }) => {
          const source = from === 'cache' ? keys! : k!;
          let score = 0;
          for (let d = 0; d < D; d++) score += q![query + d]! * source[at + group + d]!;
          return softcap === undefined ? score * scale : softcap * Math.tanh((score * scale) / softcap);
        });
        const highest = scores.reduce((a, b) => Math.max(a, b));
        const weights = scores.map((score) => Math.exp(score - highest));
        const sum = weights.reduce((a, b) => a + b);
        seen.forEach(({ from, at }, i) => {
          const source = from === 'cache' ? values! : v!;
          for (let d = 0; d < D; d++) result[query + d]! += (weights[i]! / sum) * source[at + group + d]!;
        });
      }
    }
    return [result];
  },
};

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
