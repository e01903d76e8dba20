import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm } from '../optimizers/clip.ts';
import { createTrainStep } from './train-step.ts';

const wave = (count: number, seed: number, scale = 1) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed * 78.233 + i * 12.9898) * scale);
const [inputs, wide] = [12, 8];

function network(device: Device, host: Device | undefined, dtype: 'f32' | 'f16') {
  const hidden = device.variable(wave(inputs * wide, 1, 0.3), { shape: [inputs, wide], name: 'hidden', dtype });
  const out = device.variable(wave(wide, 2, 0.3), { shape: [wide, 1], name: 'out' });
  const step = createTrainStep({
    model: {
      parameters: { hidden, out },
      forward: ({ x }: { readonly x: Tensor }) => x.cast(dtype).matmul(hidden).cast('f32').tanh().matmul(out),
    },
    loss: (y, { target }: { readonly target: Tensor }) => y.sub(target).pow(2).mean(),
    optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: (step) => 0.02 / (1 + step), weightDecay: 0.1 })),
    precision: dtype === 'f16' ? { compute: 'f16', lossScale: 128 } : 'f32',
    ...(host && { offload: { device: host } }),
  });
  const batch = (index: number) => {
    const x = wave(4 * inputs, 10 + index);
    if (index === 3) x[0] = Number.NaN; // skipped
    const target = Float32Array.from({ length: 4 }, (_, row) => x[row * inputs + 1]!);
    return { x: { data: x, shape: [4, inputs] }, target: { data: target, shape: [4, 1] } };
  };
  const dispose = () => {
    step.dispose();
    hidden.dispose();
    out.dispose();
  };
  return { step, batch, hidden, out, dispose };
}

conformance('an update on another device', (device) => {
  test.each(['f32', 'f16'] as const)(
    'is the update of the own one, and leaves no state there: %s',
    async (dtype) => {
      const host = await openReference();
      const [away, own] = [network(device(), host, dtype), network(device(), undefined, dtype)];
      const owners = () =>
        device()
          .memory()
          .owners.map(({ owner }) => owner);
      for (let i = 0; i < 6; i++) {
        const batches = i === 1 ? [away.batch(10), away.batch(11)] : away.batch(i);
        const [actual, expected] = [await away.step(batches), await own.step(batches)];
        expect(actual.applied).toBe(i !== 3);
        expect(actual.learningRate).toBe(expected.learningRate);
        if (i !== 3) expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(dtype === 'f32' ? 1e-5 : 2e-3);
      }
      const [a, b] = [await away.out.data(), await own.out.data()];
      for (const [i, value] of b.entries()) expect(Math.abs(a[i]! - value)).toBeLessThan(dtype === 'f32' ? 1e-5 : 1e-3);
      own.dispose();
      expect(owners()).not.toContain('optimizer');
      expect(owners()).not.toContain('master weights');
      expect(host.memory().owners.map(({ owner }) => owner)).toEqual(
        expect.arrayContaining(['optimizer', 'master weights']),
      );
      away.dispose();
      expect(host.memory().live).toBe(0);
      await host.dispose();
    },
    120_000,
  );

  test('refuses a device that is none, or the own one, and averages', async () => {
    const setting = (more: object) => {
      const w = device().variable([1], { name: 'w' });
      const model = { parameters: { w }, forward: () => w.sum() };
      try {
        createTrainStep({ model, loss: (y: Tensor) => y, optimizer: adamw({ learningRate: 1 }), ...more });
      } finally {
        w.dispose();
      }
    };
    expect(() => setting({ offload: {} })).toThrow(/offload takes { device }, { activations: true } or both/);
    expect(() => setting({ offload: { device: device() } })).toThrow(/another device than the model's/);
    const host = await openReference();
    expect(() => setting({ offload: { device: host }, average: { decay: 0.9 } })).toThrow(
      /averages are not kept with offload.device/,
    );
    await host.dispose();
  });
});
