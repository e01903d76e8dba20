import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, type TestContext } from 'vitest';
import { smallLlama, smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { createTrainStep } from '../step/train-step.ts';
import { adamw } from './adam.ts';
import { adamw8bit } from './adamw-8bit.ts';
import { type BlockwiseCode, dequantizeBlockwise, quantizeBlockwise } from './blockwise.ts';
import type { Optimizer } from './optimizer.ts';

const wave = (count: number, seed: number, scale = 1) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed * 78.233 + i * 12.9898) * scale);

/** Losses of steps over the batches of a run, again and again, the bytes of state, and what they are for. */
async function losses(device: Device, context: TestContext, optimizer: Optimizer, steps: number) {
  const run = await smallLlamaRun(context);
  const model = await smallLlama(device, context);
  const before = device.memory().live;
  const loss = (logits: Tensor, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets);
  const step = createTrainStep({ model, loss, optimizer });
  const bytes = device.memory().live - before;
  const found: number[] = [];
  for (let i = 0; i < steps; i++) found.push((await step(run.batch(i % run.steps, 0, 2))).loss);
  const sizes = Object.values(model.parameters).map(({ shape }) =>
    (shape as readonly number[]).reduce((a, b) => a * b),
  );
  step.dispose();
  model.dispose();
  return { losses: found, bytes, sizes };
}

conformance('AdamW with moments of 8 bits', (device) => {
  test.each<[string, BlockwiseCode, number]>([
    ['signed', { signed: true, degree: 2 }, 2 / 127],
    ['unsigned', { signed: false, degree: 4 }, 4 / 255],
  ])(
    '%s codes keep values within a part of the largest of their block, zeros, and what is not zero',
    async (_, code, part) => {
      for (const count of [1, 255, 256, 1000]) {
        const data = wave(count, 5).map((value, i) =>
          i % 7 === 0 ? 0 : (code.signed ? value : Math.abs(value)) * 10 ** -(i % 3),
        );
        const x = device().tensor(data);
        const result = dequantizeBlockwise(quantizeBlockwise(x, code), code, [count]);
        const values = await result.data();
        for (let start = 0; start < count; start += 256) {
          const block = data.subarray(start, start + 256);
          const largest = Math.max(...block.map(Math.abs));
          block.forEach((value, i) => {
            const got = values[start + i]!;
            expect(Math.abs(got - value)).toBeLessThanOrEqual(largest * part * 0.51 + 1e-9);
            if (value === 0) expect(got).toBe(0);
            else if (!code.signed) expect(got).toBeGreaterThan(0);
          });
        }
        x.dispose();
      }
    },
  );

  test('steps are those of the reference device, on a GPU in two kernels a parameter', async () => {
    const shapes = { a: [50, 101], b: [64, 80], few: [7] }; // no whole number of fours, of blocks
    const learningRate = 0.01;
    const run = async (on: Device) => {
      const parameters = Object.entries(shapes).map(([name, shape], i) =>
        on.variable(
          wave(
            shape.reduce((x, y) => x * y, 1),
            i,
          ),
          { shape, name },
        ),
      );
      const step = createTrainStep({
        model: {
          parameters,
          forward: (slopes: Readonly<Record<string, Tensor>>) =>
            parameters.map((p) => p.mul(slopes[p.name]!).sum()).reduce((x, y) => x.add(y)),
        },
        loss: (y: Tensor) => y,
        optimizer: adamw8bit({ learningRate, betas: [0.8, 0.95] }),
      });
      for (let i = 0; i < 4; i++)
        await step(
          Object.fromEntries(
            parameters.map(({ name, shape }, j) => {
              const size = shape as readonly number[];
              const data = wave(
                size.reduce((x, y) => x * y, 1),
                10 * i + j,
                10 ** -j,
              );
              if (i === 2) data[0] = Number.NaN; // skipped
              return [name, { data, shape: size }];
            }),
          ),
        );
      const values = await Promise.all(parameters.map(async (p) => [...(await p.data())] as number[]));
      const explained = step.explain();
      step.dispose();
      for (const parameter of parameters) parameter.dispose();
      return { values, explained };
    };
    const reference = await openReference();
    const [actual, expected] = [await run(device()), await run(reference)];
    await reference.dispose();
    for (const [i, wanted] of expected.values.entries()) {
      const distances = wanted.map((value, j) => Math.abs(actual.values[i]![j]! - value));
      // a code on the edge between two levels may be the other one
      expect(Math.max(...distances)).toBeLessThan(0.1 * learningRate);
      expect(distances.reduce((x, y) => x + y, 0) / distances.length).toBeLessThan(1e-3 * learningRate);
    }
    if (!backendName.startsWith('webgpu')) return;
    const kernels = actual.explained.split('\n').filter((line) => /^ *\d+ {2}/.test(line));
    const changing = kernels.filter((line) => /optimizer\.|moments8bit/.test(line));
    expect(changing.filter((line) => line.includes('moments8bit'))).toHaveLength(2);
    expect(changing.length).toBeLessThanOrEqual(6);
  }, 120_000);

  test('learns as with moments in f32', async (context) => {
    if (/SwiftShader|llvmpipe/i.test(device().description)) context.skip('a software GPU compiles it for minutes');
    const steps = backendName === 'reference' ? 4 : 200;
    const options = { learningRate: 1e-3 };
    const exact = await losses(device(), context, adamw(options), steps);
    const small = await losses(device(), context, adamw8bit(options), steps);
    const mean = (list: readonly number[]) => list.slice(-8).reduce((a, b) => a + b) / list.slice(-8).length;
    expect(mean(exact.losses)).toBeLessThan(exact.losses[0]!);
    expect(Math.abs(mean(small.losses) / mean(exact.losses) - 1)).toBeLessThan(0.01);
    if (backendName === 'reference') return; // it holds eight bytes a value, whatever its type
    const [large, few] = [true, false].map((isLarge) =>
      small.sizes.filter((size) => size >= 4096 === isLarge).reduce((a, b) => a + b, 0),
    ) as [number, number];
    expect(small.bytes).toBeLessThanOrEqual(large * 2.1 + few * 8 + 16);
    expect(exact.bytes).toBeGreaterThanOrEqual((large + few) * 8);
  }, 120_000);
});
