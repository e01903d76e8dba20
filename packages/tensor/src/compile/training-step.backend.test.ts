import { afterAll, expect } from 'vitest';
import { expectClose } from '../../../../test-support/operations.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { gradients } from '../autograd/gradients.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { crossEntropy } from '../ops/nn.ts';
import { openReference } from '../reference.ts';
import { compile } from './compile.ts';

const [inputs, hidden, classes] = [6, 12, 3];
// each bucket of sizes is another plan to a GPU, whose kernels a software driver takes seconds to compile
const batches = backendName.startsWith('webgpu') ? [16, 16] : [8, 16, 1, 16, 16];

/** Losses of a two-layer network over batches of several sizes, and its weights afterwards. */
async function train(device: Device): Promise<{ losses: number[]; weights: number[] }> {
  const variable = (shape: readonly number[], seed: number) => {
    const size = shape.reduce((a, b) => a * b);
    return device.variable(
      Float32Array.from({ length: size }, (_, i) => Math.sin(i * 78.233 + seed) / 2),
      { shape },
    );
  };
  const variables = [
    variable([inputs, hidden], 1),
    variable([hidden], 2),
    variable([hidden, classes], 3),
    variable([classes], 4),
  ];
  const step = compile(
    (x: Tensor, labels: Tensor) => {
      const [w1, b1, w2, b2] = variables;
      const loss = crossEntropy(x.matmul(w1!).add(b1!).relu().matmul(w2!).add(b2!), labels);
      const slopes = gradients(loss, variables);
      return { loss, updates: variables.map((v, i) => v.assign(v.sub(slopes[i]!.mul(0.5)))) };
    },
    { device, inputs: [{ shape: ['N', inputs] }, { shape: ['N'], dtype: 'i32' }], symbols: { N: 16 } },
  );
  const losses: number[] = [];
  for (const [i, rows] of batches.entries()) {
    const x = Float32Array.from({ length: rows * inputs }, (_, k) => Math.sin(k * 12.9898 + i));
    const labels = Int32Array.from({ length: rows }, (_, k) => Math.floor(Math.abs(x[k * inputs]!) * classes));
    losses.push(await (await step(x, labels)).loss.item());
  }
  const weights = (await Promise.all(variables.map((v) => v.data()))).flatMap((data) => [...data]);
  step.dispose();
  for (const v of variables) v.dispose();
  return { losses, weights };
}

conformance('a compiled training step', (device) => {
  const reference = openReference();
  afterAll(async () => (await reference).dispose());

  test('follows the reference, over batches of any size', async () => {
    const [own, expected] = [await train(device()), await train(await reference)];
    expect(own.losses).toHaveLength(batches.length);
    expectClose(own.losses, expected.losses, 1e-5);
    expectClose(own.weights, expected.weights, 1e-5);
  });
});
