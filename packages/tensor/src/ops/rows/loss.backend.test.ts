import { expect } from 'vitest';
import { expectClose, operations } from '../../../../../test-support/operations.ts';
import { backendName, conformance, test } from '../../../../../test-support/suite.ts';
import { valueAndGrad } from '../../autograd/grad.ts';
import { compile } from '../../compile/compile.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { randomNormal } from '../create/random.ts';
import { crossEntropy, linear } from '../nn.ts';
import { lossCases } from './loss.cases.ts';
import { linearCrossEntropy } from './loss.ts';

operations('loss', lossCases);

const [rows, width, classes, chunkRows] = [256, 16, 512, 32];

conformance('linearCrossEntropy', (device) => {
  test('is the loss of all logits, without holding them', async () => {
    const [x, weight] = [
      await randomNormal(device(), [rows, width], 1).realize(),
      await randomNormal(device(), [classes, width], 2).realize(),
    ];
    const targets = device().arange(rows);
    const losses = [
      (a: Tensor, w: Tensor) => crossEntropy(linear(a, w), targets),
      (a: Tensor, w: Tensor) => linearCrossEntropy(a, w, targets, { chunkRows }),
    ];
    const results: number[][] = [];
    const peaks: (number | undefined)[] = [];
    const plans: string[] = [];
    for (const loss of losses) {
      const step = compile((a: Tensor, w: Tensor) => valueAndGrad(loss, { argnums: [0, 1] })(a, w));
      const { value, grads } = await step(x, weight);
      results.push([await value.item(), ...(await grads[0]!.data()), ...(await grads[1]!.data())]);
      peaks.push(step.plannedBytes()?.peak);
      plans.push(step.explain());
      step.dispose();
    }
    expectClose(results[1]!, results[0]!, 1e-4);
    // all logits once, and what goes with them, against two chunks of them at a time
    if (!backendName.startsWith('webgpu')) return;
    expect(peaks[1]!).toBeLessThan(0.5 * peaks[0]!);
    // and each chunk's logits are computed once, for the loss and its gradients
    const kernels = [...plans[1]!.matchAll(/^ *\d+ +(\S.*?) {2}/gm)].flatMap(([, label]) => label!.split(' | '));
    const count = (name: string) =>
      kernels.reduce((sum, label) => {
        const [, many = '1'] = /^(\d+ )?(.*)$/.exec(label)!;
        return label.includes(name) ? sum + Number(many) : sum;
      }, 0);
    expect(count('crossEntropyRows')).toBe(rows / chunkRows);
    expect(count('matmul')).toBe((3 * rows) / chunkRows);
  });
});
