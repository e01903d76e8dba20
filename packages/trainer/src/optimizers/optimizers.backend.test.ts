import type { Device, Tensor, Variable } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared } from '../../../../test-support/shared.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { createTrainStep } from '../step/train-step.ts';
import { adafactor } from './adafactor.ts';
import { adam, adamw } from './adam.ts';
import { lion } from './lion.ts';
import { muon } from './muon.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd } from './sgd.ts';

const steps = 12;
const all = () => true;
/** The options of each run elsewhere. */
const runs: readonly [string, Optimizer, number][] = [
  ['sgd', sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.01, decays: all }), 1e-5],
  ['sgd-nesterov', sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true }), 1e-5],
  ['adamw', adamw({ learningRate: 0.01, betas: [0.9, 0.95], weightDecay: 0.1, decays: all }), 1e-5],
  ['adam-amsgrad', adam({ learningRate: 0.01, amsgrad: true }), 1e-5],
  ['lion', lion({ learningRate: 0.003, betas: [0.9, 0.99], weightDecay: 0.1, decays: all }), 1e-5],
  ['adafactor', adafactor({ learningRate: 0.02, weightDecay: 0.01, decays: all }), 1e-5],
  ['muon', muon({ learningRate: 0.02, weightDecay: 0.1 }), 2e-2],
];

async function fixture(context: Pick<TestContext, 'skip'>) {
  const file = await openSafetensors(await needShared(context, 'fixtures/optimizers/optimizers.safetensors'));
  const read = async (name: string) => new Float32Array((await file.read(name)).buffer);
  return { file, read };
}

/** A step whose gradients are the batch: the loss is linear in the parameters. */
function linearStep(
  device: Device,
  file: SafetensorsFile,
  starts: Readonly<Record<string, Float32Array>>,
  optimizer: Optimizer,
) {
  const parameters: Record<string, Variable> = {};
  for (const [name, data] of Object.entries(starts))
    parameters[name] = device.variable(data, { shape: file.info(`start.${name}`).shape, name });
  const forward = (batch: Readonly<Record<string, Tensor>>) =>
    Object.entries(parameters)
      .map(([name, value]) => value.mul(batch[name]!).sum())
      .reduce((a, b) => a.add(b));
  const step = createTrainStep({ model: { parameters, forward }, loss: (output: Tensor) => output, optimizer });
  const dispose = () => {
    step.dispose();
    for (const parameter of Object.values(parameters)) parameter.dispose();
  };
  return { parameters, step, dispose };
}

function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

conformance('optimizers follow PyTorch for 12 steps of given gradients', (device) => {
  test.for(runs)('%s', async ([run, optimizer, tolerance], context) => {
    const { file, read } = await fixture(context);
    const names = run === 'muon' ? ['W'] : ['W', 'b'];
    const starts = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await read(`start.${name}`)])),
    );
    const gradients = await Promise.all(names.map((name) => read(`gradients.${name}`)));
    const expected = await Promise.all(names.map((name) => read(`${run}.${name}`)));
    const live = device().memory().live;
    const { parameters, step, dispose } = linearStep(device(), file, starts, optimizer);
    for (let i = 0; i < steps; i++) {
      const batch = Object.fromEntries(
        names.map((name, p) => {
          const size = gradients[p]!.length / steps;
          return [
            name,
            { data: gradients[p]!.slice(i * size, (i + 1) * size), shape: file.info(`start.${name}`).shape },
          ];
        }),
      );
      expect(await step(batch)).toMatchObject({ applied: true });
      for (const [p, name] of names.entries()) {
        const size = expected[p]!.length / steps;
        const wanted = expected[p]!.subarray(i * size, (i + 1) * size);
        expect(distance((await parameters[name]!.data()) as Float32Array, wanted), `${name}, step ${i}`).toBeLessThan(
          tolerance,
        );
      }
    }
    dispose();
    expect(device().memory().live).toBeLessThanOrEqual(live);
  });
});

conformance('Adafactor', (device) => {
  test('scales each matrix of a parameter by its own rows and columns', async () => {
    const wave = (speed: number) => Float32Array.from({ length: 12 }, (_, i) => Math.sin(speed * (i + 1)));
    const [start, g] = [wave(1.3), wave(0.7).map((value, i) => (i < 6 ? value : 20 * value))];
    // by hand: two matrices [2, 3], in the first step, where the running means are the squares themselves
    const square = (m: number, i: number, j: number) => g[6 * m + 3 * i + j]! ** 2;
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const row = (m: number, i: number) => mean([0, 1, 2].map((j) => square(m, i, j)));
    const column = (m: number, j: number) => mean([0, 1].map((i) => square(m, i, j)));
    const update = Array.from(g, (value, at) => {
      const [m, i, j] = [Math.floor(at / 6), Math.floor((at % 6) / 3), at % 3];
      return value / Math.sqrt((row(m, i) * column(m, j)) / mean([row(m, 0), row(m, 1)]));
    });
    const rms = (values: ArrayLike<number>) => Math.sqrt(mean(Array.from(values, (value) => value ** 2)));
    const rate = (0.02 * rms(start)) / Math.max(1, rms(update));

    const w = device().variable(start, { shape: [2, 2, 3], name: 'w' });
    const forward = (batch: Readonly<Record<string, Tensor>>) => w.mul(batch['w']!).sum();
    const model = { parameters: { w }, forward };
    const step = createTrainStep({
      model,
      loss: (output: Tensor) => output,
      optimizer: adafactor({ learningRate: 0.02 }),
    });
    await step({ w: { data: g, shape: [2, 2, 3] } });
    const got = (await w.data()) as Float32Array;
    for (const [at, value] of got.entries()) expect(value).toBeCloseTo(start[at]! - rate * update[at]!, 5);
    step.dispose();
    w.dispose();
  });
});
