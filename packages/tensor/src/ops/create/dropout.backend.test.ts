import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { grad } from '../../autograd/grad.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { dropoutCases } from './dropout.cases.ts';
import { dropout } from './dropout.ts';

operations('dropout', dropoutCases);

conformance('dropout', (device) => {
  test('drops about the rate, and the same in the backward pass', async () => {
    const x = device().ones([20_000]);
    const kept = await dropout(x, 0.3, 8).data();
    const share = kept.filter((value) => value === 0).length / kept.length;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.015);
    const rescaled = Math.fround(1 / 0.7);
    for (const value of kept) if (value !== 0) expect(value).toBeCloseTo(rescaled, 6);
    const loss = (input: Tensor) => dropout(input, 0.3, 8).sum();
    expect(await grad(loss)(x)[0]!.data()).toEqual(kept);
  });
});
