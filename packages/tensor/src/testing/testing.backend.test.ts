import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { customVjp } from '../autograd/custom-vjp.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { allClose } from './all-close.ts';
import { executorContract } from './executor-contract.ts';
import { gradCheck } from './grad-check.ts';
import { tensorMatchers } from './matchers.ts';

expect.extend(tensorMatchers);

conformance('testing', (device) => {
  test('toBeAllClose tells how many, how much and where', async () => {
    const x = device().tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    await expect(x).toBeAllClose([
      [1, 2, 3],
      [4, 5, 6.00001],
    ]);
    const { pass, message } = await allClose(
      x,
      [
        [1, 2, 3],
        [4, 5.5, 6.25],
      ],
      { relative: 1e-4, absolute: 0 },
    );
    expect(pass).toBe(false);
    expect(message).toBe(
      '2 of 6 values differ by more than 0.00 + 0.0001 of the value; the largest difference is 0.5 at [1, 1]: expected 5.5, got 5',
    );
    expect((await allClose(x, [1, 2, 3])).message).toBe('expected shape [3], got [2, 3]');
    await expect(device().tensor([Number.NaN, 1])).toBeAllClose([Number.NaN, 1]);
    await expect(device().tensor([Number.NaN])).not.toBeAllClose([0]);
    await expect(device().tensor([Number.POSITIVE_INFINITY])).toBeAllClose([Number.POSITIVE_INFINITY]);
    for (const other of [1, Number.NaN, Number.NEGATIVE_INFINITY])
      await expect(device().tensor([other])).not.toBeAllClose([Number.POSITIVE_INFINITY]);
    await expect(device().tensor([1], { dtype: 'i32' })).not.toBeAllClose([1.000001]);
  });

  test('gradCheck accepts right gradients and finds wrong ones', async () => {
    const [x, w] = [
      device().tensor([[0.5, -1, 2]]),
      device().tensor([
        [1, 2],
        [0.3, -0.4],
        [0, 1],
      ]),
    ];
    await gradCheck((a, b) => a.matmul(b).tanh(), [x, w]);
    const wrong = customVjp(
      (a: Tensor) => a.exp(),
      ({ outputGradients: [g] }) => [g!.mul(2)],
    );
    await expect(gradCheck((a) => wrong(a), [x])).rejects.toThrow(
      /gradCheck: the gradient with respect to argument 0: 3 of 3 values/,
    );
  });
});

type Open = (options: { memoryBudget?: number }) => Promise<Device>;

/** Devices of their own, since each rule disposes of its device. */
async function opener(): Promise<Open> {
  if (backendName === 'reference') return openReference;
  if (backendName === 'onnx') return (await import('../onnx.ts')).openOnnx;
  if (backendName === 'onnx-browser') {
    const { openOnnx } = await import('../onnx.ts');
    const runtime = await import('onnxruntime-web/wasm');
    return (options) => openOnnx({ ...options, runtime });
  }
  const { openWebGpu } = await import('../webgpu.ts');
  if (backendName === 'webgpu-browser') return openWebGpu;
  const { VULKAN_LOADER: vulkanLoader, DAWN_TOGGLES } = process.env;
  return (options) => openWebGpu({ ...options, vulkanLoader, toggles: DAWN_TOGGLES?.split(',') });
}

conformance('executor contract', () => {
  const rules = executorContract(async (options) => (await opener())(options));
  for (const { name, run } of rules) test(name, run);
});
