import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { gradients } from '../../autograd/gradients.ts';
import { extremumCases } from './extremum.cases.ts';

operations('extremum', extremumCases);

conformance('gradients of extremes', (device) => {
  test('are shared by values that are equal', async () => {
    const x = device().tensor([1, 5, 5, 2, 0, 2, 2, 2], { shape: [2, 4] });
    const upstream = device().tensor([6, 12]);
    const byMax = gradients(x.max(1).mul(upstream).sum(), [x])[0]!;
    expect([...(await byMax.data())]).toEqual([0, 3, 3, 0, 0, 4, 4, 4]);
    const byMin = gradients(x.neg().min(1).mul(upstream).sum(), [x])[0]!;
    expect([...(await byMin.data())].map((value) => value + 0)).toEqual(
      [-0, -3, -3, -0, -0, -4, -4, -4].map((v) => v + 0),
    );
  });
});
