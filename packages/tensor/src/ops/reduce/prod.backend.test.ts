import { expectClose, operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { grad } from '../../autograd/grad.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { prodCases } from './prod.cases.ts';
import { prod } from './prod.ts';

operations('prod', prodCases);

conformance('the gradient of a gradient of a product', (device) => {
  test.for([{ values: [2, 3, 5, 7] }, { values: [2, 0, 5, 7] }, { values: [0, 3, 0, 7] }])(
    '$values',
    async ({ values }) => {
      // weights of a sum over the rows of the second derivatives: those are products of all but two
      const weights = [1, 10, 100, 1000];
      const first = grad((x: Tensor) => prod(x));
      const second = grad((x: Tensor) => first(x)[0]!.mul(device().tensor(weights)).sum());
      const rest = (i: number, j: number) => values.reduce((all, v, k) => (k === i || k === j ? all : all * v), 1);
      const expected = values.map((_, j) => weights.reduce((sum, w, i) => (i === j ? sum : sum + w * rest(i, j)), 0));
      expectClose([...(await second(device().tensor(values))[0]!.data())], expected, 1e-5);
    },
  );
});
