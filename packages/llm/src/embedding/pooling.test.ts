import { expect, test } from 'vitest';
import { type Pooling, poolingWeights } from './pooling.ts';

const weights = (pooling: Pooling, length: number, skipped: number) => {
  const into = new Float32Array(6);
  poolingWeights(pooling, length, skipped, into);
  return [...into];
};

test('weights of a text are those of its tokens, without a prompt that does not count', () => {
  expect(weights('mean', 4, 0)).toEqual([0.25, 0.25, 0.25, 0.25, 0, 0]);
  expect(weights('mean', 6, 2)).toEqual([0, 0, 0.25, 0.25, 0.25, 0.25]);
  expect(weights('mean-sqrt', 6, 2)).toEqual([0, 0, 0.5, 0.5, 0.5, 0.5]);
  expect(weights('first', 5, 2)).toEqual([0, 0, 1, 0, 0, 0]);
  expect(weights('last', 5, 2)).toEqual([0, 0, 0, 0, 1, 0]);
  expect(weights('weighted-mean', 5, 2)).toEqual([0, 0, ...[1 / 6, 2 / 6, 3 / 6].map(Math.fround), 0]);
});
