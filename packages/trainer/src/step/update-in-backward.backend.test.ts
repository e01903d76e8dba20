import type { Device, Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm, clipByValue } from '../optimizers/clip.ts';
import type { TrainStepSettings } from './options.ts';
import { createTrainStep } from './train-step.ts';

const [layers, rows] = [4, 4];
const onWebGpu = backendName.startsWith('webgpu');
const wave = (count: number, seed: number, scale = 1) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed * 78.233 + i * 12.9898) * scale);

/** Layers whose gradients weigh more than what is between them. */
function network(device: Device, settings: Partial<TrainStepSettings>, E = 32) {
  const weights = Array.from({ length: layers }, (_, i) =>
    device.variable(wave(E * E, i, 1.4 / Math.sqrt(E)), { shape: [E, E], name: `w${i}` }),
  );
  const step = createTrainStep({
    model: {
      parameters: weights,
      forward: ({ x, grow }: { readonly x: Tensor; readonly grow: Tensor }) =>
        // only the gradient with respect to the first weight is as large as `grow`
        weights.reduce((h, w, i) => (i === 0 ? h.matmul(w.mul(grow)).div(grow) : h.matmul(w).tanh()), x),
    },
    loss: (y) => y.pow(2).mean(),
    optimizer: chain(clipByValue(0.5), adamw({ learningRate: 0.01 })),
    ...settings,
  });
  const batch = (index: number, grow = 1) => ({
    x: { data: wave(rows * E, 20 + index), shape: [rows, E] },
    grow: { data: Float32Array.of(grow), shape: [] },
  });
  const dispose = () => {
    step.dispose();
    for (const weight of weights) weight.dispose();
  };
  return { step, batch, weights, dispose };
}

conformance('updates in the backward pass', (device) => {
  test('are those of after it, in less memory', async () => {
    // on a GPU large enough for updates of their own: those of small parameters share a kernel
    const E = onWebGpu ? 520 : 32;
    const [plain, early] = [network(device(), {}, E), network(device(), { updateInBackward: true }, E)];
    for (let i = 0; i < 3; i++) {
      const [expected, actual] = [await plain.step(plain.batch(i)), await early.step(early.batch(i))];
      expect(actual.applied).toBe(true);
      expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(actual.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-4);
    }
    for (const [i, weight] of plain.weights.entries()) {
      const [a, b] = [(await early.weights[i]!.data()) as Float32Array, (await weight.data()) as Float32Array];
      const furthest = b.reduce((most, value, j) => Math.max(most, Math.abs(a[j]! - value)), 0);
      expect(furthest).toBeLessThan(1e-5);
    }
    if (onWebGpu) {
      const gradients = layers * E * E * 4;
      expect(plain.step.plannedBytes()!.peak).toBeGreaterThan(gradients);
      expect(early.step.plannedBytes()!.peak).toBeLessThan(0.6 * gradients);
    }
    plain.dispose();
    early.dispose();
  }, 120_000);

  test('a loss that is NaN changes nothing; a gradient that is not finite leaves its own parameter', async () => {
    const { step, batch, weights, dispose } = network(device(), { updateInBackward: true });
    await step(batch(0));
    const before = await Promise.all(weights.map(async (weight) => [...(await weight.data())]));
    const bad = batch(1);
    bad.x.data[0] = Number.NaN;
    expect((await step(bad)).applied).toBe(false);
    const unchanged = await Promise.all(weights.map(async (weight) => [...(await weight.data())]));
    expect(unchanged).toEqual(before);
    dispose();
    const w = device().variable([1, 2], { name: 'w' });
    const v = device().variable([1, 2], { name: 'v' });
    // the root has no slope at 0, its value is 0
    const root = createTrainStep({
      model: { parameters: { w, v }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sqrt().sum().add(v.sum()) },
      loss: (y) => y,
      optimizer: adamw({ learningRate: 0.1, weightDecay: 0 }),
      updateInBackward: true,
    });
    const result = await root({ x: Float32Array.of(0, 0) });
    expect(result).toMatchObject({ applied: false });
    expect([...(await w.data())]).toEqual([1, 2]);
    expect([...(await v.data())].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([0.9, 1.9]);
    for (const each of [root, w, v]) each.dispose();
  });

  test('what needs all gradients is refused', async () => {
    const w = device().variable([1], { name: 'w' });
    const setting = (more: object) =>
      createTrainStep({
        model: { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sum() },
        loss: (y: Tensor) => y,
        optimizer: adamw({ learningRate: 1 }),
        updateInBackward: true,
        ...more,
      });
    expect(() => setting({ precision: 'f16' })).toThrow(/does not go with a dynamic loss scale/);
    expect(() => setting({ updateInBackward: 1 })).toThrow(/updateInBackward must be true or false, got the number 1/);
    const clipped = setting({ optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: 1 })) });
    await expect(clipped({ x: Float32Array.of(1) })).rejects.toThrow(/clipByGlobalNorm: needs all gradients/);
    clipped.dispose();
    const scaled = setting({
      precision: { compute: 'f16', lossScale: 4 },
      optimizer: adamw({ learningRate: 0.5, weightDecay: 0 }),
    });
    expect(await scaled({ x: Float32Array.of(3) })).toMatchObject({ applied: true, lossScale: 4, gradientNorm: 3 });
    expect((await w.data())[0]).toBeCloseTo(0.5, 5);
    scaled.dispose();
    w.dispose();
  });
});
