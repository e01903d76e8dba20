import type { Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { attentionMass } from './attention-mass.ts';

conformance('how much rows attend to keys', (device) => {
  const i32 = (...list: number[]): Tensor => device().tensor(Int32Array.from(list));
  const massOf = async (q: Tensor, keys: Tensor, positions: Tensor) =>
    Array.from(await attentionMass({ q, keys, positions, keyPositions: i32(4, 5, 6) }).data());

  test('a row that stands before all keys adds nothing, and what is not seen may hold anything', async () => {
    const q = device().ones([2, 2, 4]);
    const keys = device().tensor([1, 1, 1, 1, 1, 1, 1, 1, Number.NaN, Infinity, 1, 1], { shape: [3, 1, 4] });
    // the first row sees no key, the second two that are equal
    const mass = await massOf(q, keys, i32(3, 5));
    for (const [i, right] of [1, 1, 0].entries()) expect(mass[i]).toBeCloseTo(right, 5);
    expect(await massOf(q, keys, i32(0, 3))).toEqual([0, 0, 0]);
  });

  test('keys of scores that are low and finite count', async () => {
    const keys = device().tensor([-1, -1, -1], { shape: [3, 1, 1] });
    for (const size of [1e15, 1e31, 3e38]) {
      const mass = await massOf(device().tensor([[[size]]]), keys, i32(5));
      for (const [i, right] of [0.5, 0.5, 0].entries()) expect(mass[i], `${size}`).toBeCloseTo(right, 5);
    }
  });
});
