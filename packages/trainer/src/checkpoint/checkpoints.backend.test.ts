import { type Device, dropout, foldKey, randomKey, type Tensor } from '@heddle/tensor';
import { expect, type TestContext } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { adamw8bit } from '../optimizers/adamw-8bit.ts';
import { dynamicLossScale } from '../precision/loss-scale.ts';
import { createTrainStep } from '../step/train-step.ts';
import { openCheckpoints } from './checkpoints.ts';

const wave = (count: number, seed: number, scale = 1) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed * 78.233 + i * 12.9898) * scale);

/**
 * A step with everything that has a state: masters, moments of 8 bits, a moving scale, averages (not beside offload), dropout by
 * step.
 */
function network(device: Device, host?: Device) {
  const [inputs, wide] = [32, 24];
  const hidden = device.variable(wave(inputs * wide, 1, 0.3), { shape: [inputs, wide], name: 'hidden', dtype: 'f16' });
  const out = device.variable(wave(wide, 2, 0.3), { shape: [wide, 1], name: 'out' });
  const model = {
    parameters: { layers: [{ hidden }, { out }] },
    forward: ({ x, key }: { readonly x: Tensor; readonly key: Tensor }) => {
      const values = x.cast('f16').matmul(hidden).cast('f32').tanh();
      return dropout(values, 0.1, foldKey(randomKey(device, 7), key.reshape([]).cast('u32'))).matmul(out);
    },
  };
  const step = createTrainStep({
    model,
    loss: (y, { target }: { readonly target: Tensor }) => y.sub(target).pow(2).mean(),
    optimizer: adamw8bit({ learningRate: (step) => 0.01 / (1 + step), minimumSize: 256 }),
    precision: { compute: 'f16', lossScale: dynamicLossScale({ initial: 256, interval: 3 }) },
    ...(host ? { offload: { device: host } } : { average: { decay: 0.9 } }),
  });
  const batch = (index: number) => {
    const x = wave(8 * inputs, 10 + index);
    if (index === 2) x[0] = Number.NaN; // skipped
    const target = Float32Array.from({ length: 8 }, (_, row) => x[row * inputs + 1]!);
    return {
      x: { data: x, shape: [8, inputs] },
      target: { data: target, shape: [8, 1] },
      key: Int32Array.of(index),
    };
  };
  /** Each step has two batches. */
  const take = async (first: number, count: number) => {
    const found: unknown[] = [];
    for (let i = first; i < first + count; i++) {
      const { loss, gradientNorm, learningRate, lossScale, applied } = await step([batch(2 * i), batch(2 * i + 1)]);
      found.push([loss, gradientNorm, learningRate, lossScale, applied]);
    }
    return found;
  };
  const values = async () => {
    const all = [...step.state, ...step.parameters.map(({ name, value }) => [name, value] as const)];
    return Promise.all(all.map(async ([name, variable]) => [name, [...(await variable.data())]]));
  };
  const dispose = () => {
    step.dispose();
    hidden.dispose();
    out.dispose();
  };
  return { step, take, values, dispose };
}

async function folder(context: Pick<TestContext, 'skip'>) {
  if (backendName.endsWith('browser')) context.skip('browsers have no file system');
  const [{ mkdtemp, rm }, { tmpdir }] = [await import('node:fs/promises'), await import('node:os')];
  const path = await mkdtemp(`${tmpdir()}/checkpoints-`);
  return { path: `${path}/run`, remove: () => rm(path, { recursive: true }) };
}

conformance('a run that goes on from a checkpoint', (device) => {
  for (const where of ['everything on one device', 'masters and moments on another'])
    test(`is, bit for bit, the run that was saved: ${where}`, async (context) => {
      const { path, remove } = await folder(context);
      const host = where.startsWith('masters') ? await (await import('@heddle/tensor/onnx')).openOnnx() : undefined;
      const checkpoints = openCheckpoints(path);
      const first = network(device(), host);
      await first.take(0, 4);
      const saved = await checkpoints.save(first.step, { metric: 0.5, data: { place: 8 }, extra: { seed: 7 } });
      expect(saved.progress).toEqual({ steps: 4, applied: 3 });
      const expected = await first.take(4, 10);
      const [weights] = [await first.values()];
      first.dispose();

      const second = network(device(), host);
      await second.take(0, 1); // whatever it was before does not matter
      const found = (await checkpoints.latest())!;
      expect(found).toEqual({ ...saved, data: { place: 8 }, extra: { seed: 7 }, metric: 0.5 });
      await checkpoints.restore(found, second.step);
      const actual = await second.take(4, 10);
      if (backendName === 'reference') {
        // it computes and keeps float64, and files have f32
        for (const [i, values] of (expected as number[][]).entries())
          for (const [j, value] of values.entries())
            expect(Number((actual as number[][])[i]![j])).toBeCloseTo(Number(value), 4);
      } else {
        expect(actual).toEqual(expected);
        expect(await second.values()).toEqual(weights);
      }
      second.dispose();
      await host?.dispose();
      await remove();
    }, 180_000);
});
