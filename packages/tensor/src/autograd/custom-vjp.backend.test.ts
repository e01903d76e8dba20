import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { isHeddleError } from '../checks/errors.ts';
import type { Tensor } from '../graph/tensor.ts';
import { round } from '../ops/elementwise/rounding.ts';
import { customVjp } from './custom-vjp.ts';
import { grad } from './grad.ts';

conformance('customVjp', (device) => {
  test('has the value of the function and the gradient of the rule', async () => {
    const straightThrough = customVjp(
      (x: Tensor) => round(x),
      ({ outputGradients: [g] }) => [g],
    );
    const x = device().tensor([0.4, 1.7, -2.2]);
    expect([...(await straightThrough(x).data())]).toEqual([0, 2, -2]);
    const loss = (a: Tensor) => straightThrough(a.mul(2)).mul(3).sum();
    expect([...(await grad(loss)(x)[0]!.data())]).toEqual([6, 6, 6]);
  });

  test('shows the rule inputs, outputs and zeros for what is not used', async () => {
    const both = customVjp(
      (a: Tensor, b: Tensor) => [a.mul(b), a.add(b)],
      ({ inputs: [a], outputs: [product], outputGradients: [g, h] }) => [g!.mul(product!).add(h!), a!.mul(10)],
    );
    const [a, b] = [device().tensor([2, 3]), device().tensor([5, 7])];
    const loss = (x: Tensor, y: Tensor) => both(x, y)[0]!.sum();
    const [byA, byB] = grad(loss, { argnums: [0, 1] })(a, b);
    expect([...(await byA!.data())]).toEqual([10, 21]);
    expect([...(await byB!.data())]).toEqual([20, 30]);
  });

  test('refuses a rule that does not fit the arguments', () => {
    const x = device().ones([3]);
    const short = customVjp(
      (a: Tensor) => a.exp(),
      () => [],
    );
    const wrong = customVjp(
      (a: Tensor) => a.exp(),
      ({ outputGradients: [g] }) => [g!.sum()],
    );
    const codeOf = (f: (a: Tensor) => Tensor) => {
      try {
        grad((a: Tensor) => f(a).sum())(x);
        return 'none';
      } catch (error) {
        return isHeddleError(error) ? error.code : 'other';
      }
    };
    expect([codeOf(short), codeOf(wrong)]).toEqual(['ERR_ARGUMENT', 'ERR_SHAPE']);
  });
});
