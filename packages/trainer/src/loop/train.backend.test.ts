import {
  crossEntropy,
  type Device,
  embedding,
  gradients,
  linear,
  rmsNorm,
  type ShapedArray,
  silu,
  type Tensor,
  type Variable,
  where,
} from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import type { Batch, TracedBatch } from '../model/batch.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm } from '../optimizers/clip.ts';
import { createTrainStep, type TrainStep } from '../step/train-step.ts';
import { repeat } from './batches.ts';
import { train } from './train.ts';

/** Weights that look random and are the same on every device. */
function weights(device: Device, shapes: Readonly<Record<string, readonly number[]>>, scale: number) {
  let seed = 0;
  const made = Object.entries(shapes).map(([name, shape]): [string, Variable] => {
    seed++;
    const size = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(seed * 78.233 + i * 12.9898) * scale);
    return [name, device.variable(shape.length === 1 ? data.fill(1) : data, { shape, name })];
  });
  return Object.fromEntries(made) as Record<string, Variable>;
}

interface Run<B extends Batch> {
  readonly model: {
    readonly parameters: Readonly<Record<string, Variable>>;
    forward(batch: TracedBatch<B>): Tensor;
  };
  readonly loss: (output: Tensor, batch: TracedBatch<B>) => Tensor;
  readonly batch: B;
}

/** Two layers on exclusive or. */
function mlp(
  device: Device,
): Run<{ x: { data: Float32Array; shape: number[] }; y: { data: Float32Array; shape: number[] } }> {
  const p = weights(device, { hidden: [2, 8], shift: [8], out: [8, 1] }, 1);
  return {
    model: { parameters: p, forward: ({ x }) => x.matmul(p['hidden']!).add(p['shift']!).tanh().matmul(p['out']!) },
    loss: (output, { y }) => output.sub(y).mul(output.sub(y)).mean(),
    batch: {
      x: { data: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), shape: [4, 2] },
      y: { data: Float32Array.of(0, 1, 1, 0), shape: [4, 1] },
    },
  };
}

/** One block of a language model: attention of one head and a gated feed-forward, with norms. */
function languageModel(
  device: Device,
): Run<{ tokens: { data: Int32Array; shape: number[] }; targets: { data: Int32Array; shape: number[] } }> {
  const [V, E, F, B, L] = [11, 16, 24, 2, 6];
  const p = weights(
    device,
    {
      embed: [V, E],
      place: [L, E],
      norm: [E],
      query: [E, E],
      key: [E, E],
      value: [E, E],
      norm2: [E],
      gate: [F, E],
      up: [F, E],
      down: [E, F],
    },
    0.4,
  );
  const stream = Int32Array.from({ length: B * (L + 1) }, (_, i) => (i * i + 3 * i) % V);
  const rows = (start: number) =>
    Int32Array.from({ length: B * L }, (_, i) => stream[Math.floor(i / L) * (L + 1) + (i % L) + start]!);
  return {
    model: {
      parameters: p,
      forward({ tokens }) {
        let x = embedding(p['embed']!, tokens).add(p['place']!);
        const normed = rmsNorm(x, p['norm']!);
        const scores = linear(normed, p['query']!)
          .matmul(linear(normed, p['key']!), { transposeB: true })
          .div(Math.sqrt(E));
        const [i, j] = [device.arange(L).reshape([L, 1]), device.arange(L)];
        x = x.add(where(j.lessEqual(i), scores, -1e9).softmax().matmul(linear(normed, p['value']!)));
        const h = rmsNorm(x, p['norm2']!);
        x = x.add(linear(silu(linear(h, p['gate']!)).mul(linear(h, p['up']!)), p['down']!));
        return linear(x, p['embed']!);
      },
    },
    loss: (logits, { targets }) => crossEntropy(logits, targets),
    batch: { tokens: { data: rows(0), shape: [B, L] }, targets: { data: rows(1), shape: [B, L] } },
  };
}

const optimizer = () => chain(clipByGlobalNorm(1), adamw({ learningRate: 0.02, betas: [0.9, 0.95], weightDecay: 0.1 }));
const dispose = ({ model }: { readonly model: { readonly parameters: Readonly<Record<string, Variable>> } }) => {
  for (const parameter of Object.values(model.parameters)) parameter.dispose();
};

async function overfit<B extends Batch>({ model, loss, batch }: Run<B>, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for await (const report of train({ model, loss, optimizer: optimizer(), data: repeat([batch]), steps }))
    losses.push(report.loss);
  return losses;
}

/** Relative distance of two lists, by their Euclidean norms. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(size, 1e-12));
}

/** First gradients, then five steps, of one run on two devices. */
async function compare<B extends Batch>(here: Run<B>, there: Run<B>): Promise<void> {
  const [actualFirst, expectedFirst] = [await firstGradients(here), await firstGradients(there)];
  for (const [name, expected] of expectedFirst)
    expect(distance(actualFirst.get(name)!, expected), `gradient with respect to ${name}`).toBeLessThan(1e-5);
  const [step, oracle] = [here, there].map((run) =>
    createTrainStep<TracedBatch<B>, Tensor>({ model: run.model, loss: run.loss, optimizer: optimizer() }),
  ) as [TrainStep<TracedBatch<B>>, TrainStep<TracedBatch<B>>];
  for (let i = 0; i < 5; i++) {
    const [actual, expected] = [await step(here.batch), await oracle(there.batch)];
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(2e-5 * Math.max(1, expected.loss));
    expect(Math.abs(actual.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-4);
  }
  for (const [name, parameter] of Object.entries(here.model.parameters)) {
    const [actual, expected] = [await parameter.data(), await there.model.parameters[name]!.data()];
    expect(distance(actual, expected), name).toBeLessThan(1e-4);
  }
  step.dispose();
  oracle.dispose();
  dispose(here);
}

async function firstGradients<B extends Batch>({
  model,
  loss,
  batch,
}: Run<B>): Promise<Map<string, ArrayLike<number>>> {
  const { device } = Object.values(model.parameters)[0]!;
  const inputs = Object.entries(batch).map(([name, value]): [string, Tensor] => {
    const { data, shape } = value as ShapedArray;
    return [name, device.tensor(data, { shape })];
  });
  const traced = Object.fromEntries(inputs) as unknown as TracedBatch<B>;
  const byParameter = gradients(loss(model.forward(traced), traced), Object.values(model.parameters));
  await device.realize(byParameter);
  const found = new Map<string, ArrayLike<number>>();
  for (const [i, name] of Object.keys(model.parameters).entries()) found.set(name, await byParameter[i]!.data());
  for (const tensor of [...byParameter, ...inputs.map(([, input]) => input)]) tensor.dispose();
  return found;
}

conformance('training', (device) => {
  test('overfits exclusive or', async () => {
    const run = mlp(device());
    const losses = await overfit(run, 150);
    expect(losses.at(-1)).toBeLessThan(0.02);
    dispose(run);
  });

  test('a small language model overfits one batch', async () => {
    const run = languageModel(device());
    const losses = await overfit(run, 40);
    expect(losses[0]).toBeGreaterThan(2);
    expect(losses.at(-1)).toBeLessThan(0.15);
    dispose(run);
  });

  test.each([
    ['the perceptron', (here: Device, there: Device) => compare(mlp(here), mlp(there))],
    ['the language model', (here: Device, there: Device) => compare(languageModel(here), languageModel(there))],
  ])(
    'gradients, losses, norms and weights of five steps of %s are those of the reference device',
    async (_, compared) => {
      const reference = await openReference();
      await compared(device(), reference);
      await reference.dispose();
    },
  );

  test('a step that is not finite changes nothing', async () => {
    const run = mlp(device());
    const step = createTrainStep({ model: run.model, loss: run.loss, optimizer: optimizer() });
    await step(run.batch);
    const before = [...(await run.model.parameters['hidden']!.data())];
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY]) {
      const y = { data: Float32Array.of(0, bad, 0, 0), shape: [4, 1] };
      expect(await step({ ...run.batch, y })).toMatchObject({ applied: false });
    }
    expect([...(await run.model.parameters['hidden']!.data())]).toEqual(before);
    expect(await step(run.batch)).toMatchObject({ applied: true });
    step.dispose();
    dispose(run);
  });

  test('hundreds of steps hold no more than one, and nothing is left', async () => {
    const before = device().memory();
    const run = mlp(device());
    const step = createTrainStep({ model: run.model, loss: run.loss, optimizer: optimizer() });
    await step(run.batch);
    const { live } = device().memory();
    for (let i = 0; i < 300; i++) await (await step.submit(run.batch)).result;
    expect(device().memory().live).toBeLessThanOrEqual(live);
    step.dispose();
    dispose(run);
    expect(device().memory().live).toBeLessThanOrEqual(before.live);
  });
});
