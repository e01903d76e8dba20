import { expect } from 'vitest';
import { floats } from '../../../../test-support/cases.ts';
import { expectClose, operations } from '../../../../test-support/operations.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { compile } from '../compile/compile.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { dropout } from '../ops/create/dropout.ts';
import { randomKey, randomNormal } from '../ops/create/random.ts';
import type { PlanReport } from '../report/plan-report.ts';
import { checkpoint } from './checkpoint.ts';
import { grad, valueAndGrad } from './grad.ts';

const mlp = (x: Tensor, w: Tensor) => x.matmul(w).tanh().matmul(w, { transposeB: true }).sigmoid();

operations('checkpoint', [
  { name: 'checkpoint', inputs: [floats([3, 4]), floats([4, 5])], f: checkpoint(mlp) },
  { name: 'checkpoint of what is used outside too', inputs: [floats([3, 3])], f: (x) => checkpoint(mlp)(x, x).mul(x) },
  {
    name: 'checkpoint that takes tensors from outside',
    inputs: [floats([3, 4]), floats([4, 5])],
    f: (x, w) => checkpoint((input: Tensor) => mlp(input, w.exp()))(x),
  },
  {
    name: 'checkpoint inside of another',
    inputs: [floats([2, 3]), floats([3, 3])],
    f: (x, w) => checkpoint((input: Tensor) => checkpoint(mlp)(input.sin(), w).mul(input))(x),
  },
  {
    name: 'checkpoint of trees',
    inputs: [floats([2, 3]), floats([3, 3])],
    f: (x, w) => {
      const block = checkpoint((p: { w: Tensor }, [a]: readonly Tensor[]) => ({ y: mlp(a!, p.w), z: [a!.exp()] }));
      const { y, z } = block({ w }, [x]);
      return y.add(z[0]!);
    },
  },
  {
    name: 'checkpoint of which one result is used',
    inputs: [floats([4])],
    f: (x) => checkpoint((a: Tensor) => [a.exp(), a.sin()] as const)(x)[1],
  },
]);

const [rows, width, depth] = [768, 32, 8];
const onWebGpu = backendName.startsWith('webgpu');
const flopsOf = async (step: { report(): Promise<PlanReport> }) =>
  (await step.report()).kernels.reduce((sum, { flops = 0 }) => sum + flops, 0);

/** Blocks whose inner values are larger than what goes from one to the next. */
async function layers(device: Device): Promise<{ x: Tensor; weights: Tensor[] }> {
  const x = randomNormal(device, [rows, width], 1);
  const weights = Array.from({ length: depth }, (_, i) =>
    randomNormal(device, [width, 4 * width], i + 2, { deviation: 0.1 }),
  );
  await device.realize([x, ...weights]);
  return { x, weights };
}

const block = (x: Tensor, w: Tensor) => x.add(x.matmul(w).tanh().exp().matmul(w, { transposeB: true }));

conformance('checkpoint', (device) => {
  test('gives the same gradients, computed twice', async () => {
    const { x, weights } = await layers(device());
    const steps = [block, checkpoint(block)].map((layer) =>
      compile((input: Tensor, list: readonly Tensor[]) =>
        valueAndGrad((ws: readonly Tensor[]) => ws.reduce(layer, input).sum())(list),
      ),
    );
    const results: number[][] = [];
    for (const step of steps) {
      const { value, grads } = await step(x, weights);
      results.push([await value.item(), ...(await grads[0]![0]!.data()), ...(await grads[0]!.at(-1)!.data())]);
    }
    expectClose(results[1]!, results[0]!, 1e-5);
    // matmul, tanh, exp and the like of each block once more; WebGPU joins kernels, but its work tells
    const [once, twice] = await Promise.all(steps.map((step) => (onWebGpu ? flopsOf(step) : step.kernelCount()!)));
    expect(twice! - once!).toBeGreaterThanOrEqual(depth * (onWebGpu ? 2 * rows * width * 4 * width : 1));
    const [plain, again] = steps.map((step) => step.plannedBytes()?.peak);
    if (onWebGpu) expect(again!).toBeLessThan(0.6 * plain!);
    for (const step of steps) step.dispose();
  });

  test('draws the same numbers again', async () => {
    const [x, key] = [device().ones([500]), randomKey(device(), 6)];
    const noisy = (a: Tensor, k: Tensor) => dropout(a, 0.5, k).mul(a).sum();
    const [direct] = grad(noisy)(x, key);
    const [again] = grad(checkpoint(noisy))(x, key);
    expect(await again!.data()).toEqual(await direct!.data());
  });

  test('has second derivatives', async () => {
    const x = device().tensor([0.3, -0.7, 1.1]);
    const cube = checkpoint((a: Tensor) => a.mul(a).mul(a));
    const first = (a: Tensor) => grad((b: Tensor) => cube(b).sum())(a)[0]!.sum();
    expectClose([...(await grad(first)(x)[0]!.data())], [1.8, -4.2, 6.6], 1e-5);
  });
});
