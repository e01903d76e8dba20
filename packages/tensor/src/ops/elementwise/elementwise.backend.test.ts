import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { grad } from '../../autograd/grad.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { elementwiseCases } from './elementwise.cases.ts';

operations('elementwise', elementwiseCases);

conformance('powers of 0', (device) => {
  test('have the slope of what they are near 0', async () => {
    const [base, exponent] = [device().zeros([3]), device().tensor([0, 1, 2])];
    const both = grad((a: Tensor, b: Tensor) => a.pow(b).sum(), { argnums: [0, 1] })(base, exponent);
    expect(await Promise.all(both.map((slope) => slope.data()))).toEqual([
      Float32Array.of(0, 1, 0),
      Float32Array.of(0, 0, 0),
    ]);
  });
});
