import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sgd } from '../optimizers/sgd.ts';
import { createTrainStep } from './train-step.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const setting = (values: readonly number[]) => {
  const w = device.variable([...values], { name: 'w' });
  const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sum() };
  return { w, model, loss: (y: Tensor) => y, optimizer: sgd({ learningRate: 1 }) };
};
const batch = { x: Float32Array.of(1, 2) };

test('moving averages follow the weights, and change places with them', async () => {
  const { w, ...rest } = setting([0, 0]);
  const step = createTrainStep({ ...rest, average: { decay: 0.75 } });
  await step(batch); // weights [-1, -2], averages a quarter of the way
  await step(batch);
  const averages = [-0.25 * 0.75 - 0.5, -0.5 * 0.75 - 1];
  await step.swapAverages();
  expect([...(await w.data())]).toEqual(averages);
  await step.swapAverages();
  expect([...(await w.data())]).toEqual([-2, -4]);
  expect([...(await step.state.get('average.w')!.data())]).toEqual(averages);
  step.dispose();
  const plain = createTrainStep(rest);
  await expect(plain.swapAverages()).rejects.toThrow(/no averages are kept/);
  plain.dispose();
  w.dispose();
});

test('goes on from where another run stood', async () => {
  const rate = (step: number) => 1 / (1 + step);
  const { w, ...rest } = setting([0, 0]);
  const step = createTrainStep({ ...rest, optimizer: sgd({ learningRate: rate }) });
  await step.resume({ steps: 12, applied: 9 });
  expect(await step(batch)).toMatchObject({ step: 12, learningRate: 0.1 });
  expect(await step.progress()).toEqual({ steps: 13, applied: 10 });
  await expect(step.resume({ steps: 1, applied: 2 })).rejects.toThrow(/cannot go on from 2 applied of 1/);
  step.dispose();
  w.dispose();
});

test.each([
  [{ average: { decay: 1 } }, /average: decay must be in \[0, 1\), got 1/],
  [{ precision: 'f64' as never }, /precision takes 'f32', 'f16'/],
  [{ precision: { compute: 'f16' as const, lossScale: 0 } }, /the scale must be positive, got 0/],
  [{ checkpointing: { segment: 0 } }, /checkpointing takes 'none', 'every'/],
  [{ checkpointing: 'all' as never }, /checkpointing takes/],
])('refuses settings that are none: %o', (options, message) => {
  const { w, ...rest } = setting([0, 0]);
  const live = device.memory().live;
  expect(() => createTrainStep({ ...rest, ...options })).toThrow(message);
  expect(device.memory().live).toBeLessThanOrEqual(live);
  w.dispose();
});
