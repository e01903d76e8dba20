import { crossEntropy, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { smallLlama, smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { sgd } from '../optimizers/sgd.ts';
import { createTrainStep } from './train-step.ts';

const optimizer = sgd({ learningRate: 0.1 });
const summed = (logits: Tensor, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets);

conformance('a step of several batches', (device) => {
  test('is the step of one, with unequal numbers of tokens that count', async (context) => {
    leaveToNode(context);
    const run = await smallLlamaRun(context);
    const [whole, parted] = [await smallLlama(device(), context), await smallLlama(device(), context)];
    const [one, several] = [whole, parted].map((model) => createTrainStep({ model, loss: summed, optimizer }));
    const mask = (batch: ReturnType<typeof run.batch>, kept: readonly number[]) => {
      const L = batch.tokens.shape[1]!;
      batch.targets.data.forEach((_, i) => {
        if (i % L >= kept[Math.floor(i / L)]!) batch.targets.data[i] = -100;
      });
      return batch;
    };
    const kept = [64, 3, 0, 17]; // the third row counts nothing at all
    for (let step = 0; step < 2; step++) {
      const expected = await one!(mask(run.batch(step), kept));
      const rows = kept.map((count, row) => mask(run.batch(step, row, 1), [count]));
      const actual = await several!(rows);
      expect(expected.count).toBe(84);
      expect(actual).toMatchObject({ step, count: 84, applied: true });
      expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(1e-6);
      expect(Math.abs(actual.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-5);
    }
    for (const [name, parameter] of Object.entries(parted.parameters)) {
      const [a, b] = [await parameter.data(), await whole.parameters[name]!.data()];
      let [difference, size] = [0, 0];
      for (let i = 0; i < a.length; i++) {
        difference += (a[i]! - b[i]!) ** 2;
        size += b[i]! ** 2;
      }
      expect(Math.sqrt(difference / size), name).toBeLessThan(1e-6);
    }
    for (const each of [one!, several!, whole, parted]) each.dispose();
  });

  test('that counts nothing changes nothing; nor does one whose batch is not finite, and the next is as without it', async () => {
    const w = device().variable([1, 2], { name: 'w' });
    const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sum() };
    const loss = (total: Tensor, { count }: { readonly count: Tensor }) => ({ total, count: count.sum() });
    const step = createTrainStep({ model, loss, optimizer });
    const batch = (x: number, count: number) => ({ x: Float32Array.of(x, 0), count: Float32Array.of(count) });
    expect(await step([batch(1, 0), batch(2, 0)])).toMatchObject({ applied: false, count: 0 });
    expect(await step([batch(Number.NaN, 1), batch(2, 1)])).toMatchObject({ applied: false });
    expect([...(await w.data())]).toEqual([1, 2]);
    expect(await step([batch(1, 1), batch(2, 3)])).toMatchObject({ applied: true, count: 4, loss: 0.75 });
    expect((await w.data())[0]).toBeCloseTo(1 - 0.1 * 0.75, 6);
    await expect(step([])).rejects.toThrow(/got an empty list/);
    step.dispose();
    w.dispose();
  });

  test('of a summed loss is that of its mean', async (context) => {
    leaveToNode(context);
    const run = await smallLlamaRun(context);
    const [a, b] = [await smallLlama(device(), context), await smallLlama(device(), context)];
    const mean = (logits: Tensor, { targets }: { readonly targets: Tensor }) => crossEntropy(logits, targets);
    const [plain, counted] = [
      createTrainStep({ model: a, loss: mean, optimizer }),
      createTrainStep({ model: b, loss: summed, optimizer }),
    ];
    const [expected, actual] = [await plain(run.batch(0)), await counted(run.batch(0))];
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(1e-5);
    expect(Math.abs(expected.loss - run.losses[0]!)).toBeLessThan(1e-4);
    expect(actual.count).toBe(256);
    for (const each of [plain, counted, a, b]) each.dispose();
  });
});
