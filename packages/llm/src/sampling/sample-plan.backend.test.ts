import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { greedyPlan } from './sample-plan.ts';

conformance('sample plans', (device) => {
  test('greedy: the most likely token, the first among equals, and what is wrong with the others', async () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const rows = [
      [1, 3, 3, -inf],
      [-5, -inf, -4, -6],
      [1, nan, 3, 2],
      [1, inf, 3, 2],
      [-inf, -inf, -inf, -inf],
      [inf, nan, 1, 1],
    ];
    const logits = device().tensor(Float32Array.from(rows.flat()), { shape: [rows.length, 4] });
    const lanes = device().arange(rows.length, 'i32');
    const { tokens, updates } = greedyPlan.record({ logits, lanes, columns: {} });
    expect(updates).toEqual([]);
    expect([...(await tokens.data())]).toEqual([1, 2, -1, -2, -3, -1]);
    logits.dispose();
  });
});
