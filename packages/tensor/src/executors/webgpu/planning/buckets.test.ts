import { describe, expect, test } from 'vitest';
import { addDims, evaluateDim, multiplyDims, subtractDims, symbolicDim, symbolsOf } from '../../../dim.ts';
import { boundOf, bucketIndex, bucketOf } from './buckets.ts';

const [T, S] = [symbolicDim('T', 12), symbolicDim('S', 64)];
const symbols = [...symbolsOf(T), ...symbolsOf(S)];

describe('buckets', () => {
  test('are powers of two up to the bound', () => {
    const ceilings = [0, 1, 2, 3, 4, 5, 8, 9, 12].map((t) => bucketOf(symbols, { T: t, S: 1 }).most['T']);
    expect(ceilings).toEqual([1, 1, 2, 4, 4, 8, 8, 12, 12]);
  });

  test('have one index each, and contain what they serve', () => {
    const keys = new Map<number, string>();
    for (let t = 0; t <= 12; t++)
      for (let s = 0; s <= 64; s++) {
        const bucket = bucketOf(symbols, { T: t, S: s });
        const index = bucketIndex(symbols, { T: t, S: s });
        expect(keys.get(index) ?? bucket.key).toBe(bucket.key);
        keys.set(index, bucket.key);
        for (const [name, size] of [
          ['T', t],
          ['S', s],
        ] as const) {
          expect(bucket.most[name]).toBeGreaterThanOrEqual(size);
          expect(bucket.least[name]).toBeLessThanOrEqual(size);
        }
      }
    expect(new Set(keys.values()).size).toBe(keys.size);
  });

  test('bound sizes that differences make', () => {
    const dims = [T, multiplyDims(T, S), addDims(S, 1), subtractDims(S, T), subtractDims(multiplyDims(S, T), T)];
    for (const values of [
      { T: 3, S: 9 },
      { T: 1, S: 64 },
      { T: 12, S: 33 },
    ]) {
      const bucket = bucketOf(symbols, values);
      for (const dim of dims) expect(boundOf(dim, bucket)).toBeGreaterThanOrEqual(evaluateDim(dim, values));
    }
    expect(boundOf(subtractDims(S, T), bucketOf(symbols, { T: 8, S: 40 }))).toBe(64 - 5);
  });
});
