import type { Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { adamw, type StepReport, type TrainingError, train } from '../index.ts';

test('a learning rate that is no number ends the training before its step, and never reaches the weights', async () => {
  const device = await openReference();
  const w = device.variable([1, -2], { name: 'w' });
  const options = {
    model: { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => x.mul(w) },
    loss: (output: Tensor) => output.pow(2).sum(),
    data: Array.from({ length: 5 }, () => ({ x: Float32Array.of(1, 1) })),
  };
  for (const rate of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const reports: StepReport[] = [];
    const optimizer = adamw({ learningRate: (step) => (step < 3 ? 0.01 : rate) });
    const run = async () => {
      for await (const report of train({ ...options, optimizer, stepsAhead: 0 })) reports.push(report);
    };
    const error = (await run().catch((thrown: unknown) => thrown)) as TrainingError;
    expect(error).toMatchObject({ code: 'ERR_OPTIMIZER', step: 3 });
    expect(error.message).toMatch(/numbers for step 3 must be finite, got (NaN|Infinity|-Infinity)/);
    expect(reports).toHaveLength(3);
    expect([...(await w.data())].every(Number.isFinite)).toBe(true);
  }
  const unknown = { ...options, optimizer: adamw({ learningRate: 0.1 }), nonFinite: 'ignore' as never };
  expect(() => train(unknown)).toThrow("train: nonFinite must be 'throw' or 'skip', got ignore");
  w.dispose();
  expect(device.memory().live).toBe(0);
  await device.dispose();
});
