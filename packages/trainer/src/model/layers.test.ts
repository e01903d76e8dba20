import { type Tensor, tanh } from '@heddle/tensor';
import { createLinear, createSequential } from '@heddle/tensor/nn';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { train } from '../loop/train.ts';
import { adamw } from '../optimizers/adam.ts';

test('layers of tensor are models as they are', async () => {
  const device = await openReference();
  const layers = createSequential(
    createLinear(device, { inputs: 2, outputs: 8, seed: 1 }),
    tanh,
    createLinear(device, { inputs: 8, outputs: 1, seed: 2 }),
  );
  const model = { parameters: layers.parameters, forward: ({ x }: { readonly x: Tensor }) => layers.forward(x) };
  const batch = {
    x: { data: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), shape: [4, 2] },
    y: { data: Float32Array.of(0, 1, 1, 0), shape: [4, 1] },
  };
  const losses: number[] = [];
  const reports = train({
    model,
    data: Array.from({ length: 60 }, () => batch),
    loss: (output, { y }) => output.sub(y).square().mean(),
    optimizer: adamw({ learningRate: 0.1 }),
    steps: 60,
  });
  for await (const { loss } of reports) losses.push(loss);
  expect(losses.at(-1)).toBeLessThan(0.1 * losses[0]!);
  layers.dispose();
  await device.dispose();
});
