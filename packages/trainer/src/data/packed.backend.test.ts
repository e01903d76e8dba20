import { expect } from 'vitest';
import { smallLlama } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { sgd } from '../optimizers/sgd.ts';
import { createTrainStep } from '../step/train-step.ts';
import { exampleBatches } from './example-batches.ts';

conformance('examples packed into rows', (device) => {
  test('train as examples in rows of their own', async (context) => {
    if (backendName.startsWith('webgpu')) leaveToNode(context);
    const examples = Array.from({ length: 5 }, (_, i) => {
      const tokens = Int32Array.from({ length: 6 + 3 * i }, (_, j) => 3 + ((17 * i + 5 * j * j) % 317));
      return { tokens, learned: Uint8Array.from(tokens, (_, j) => Number(j > 2)) };
    });
    const results = [];
    for (const pack of [true, false]) {
      const model = await smallLlama(device(), context);
      const step = createTrainStep({
        model,
        loss: (logits, { targets }: { readonly targets: import('@heddle/tensor').Tensor }) =>
          summedCrossEntropy(logits, targets),
        optimizer: sgd({ learningRate: 0.1 }),
      });
      const stream = exampleBatches(examples, { rows: 8, length: 32, pack, epochs: 1 });
      for await (const batch of stream) results.push(await step(batch));
      step.dispose();
      model.dispose();
    }
    expect(results).toHaveLength(2);
    const [packed, apart] = results;
    expect(packed!.count).toBe(apart!.count);
    expect(Math.abs(packed!.loss / apart!.loss - 1)).toBeLessThan(1e-6);
    expect(Math.abs(packed!.gradientNorm / apart!.gradientNorm - 1)).toBeLessThan(1e-5);
  }, 120_000);
});
