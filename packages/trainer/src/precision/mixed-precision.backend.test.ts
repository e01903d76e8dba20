import type { Device, Tensor } from '@heddle/tensor';
import { f16ToF32 } from '@heddle/tensor';
import { expect, type TestContext } from 'vitest';
import { smallLlama, smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm } from '../optimizers/clip.ts';
import { warmupCosineSchedule } from '../schedules/decay.ts';
import { createTrainStep } from '../step/train-step.ts';
import { dynamicLossScale } from './loss-scale.ts';
import type { Precision } from './precision.ts';

const loss = (logits: Tensor, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets);
const stepsHere = backendName === 'reference' ? 4 : 60;

/** The largest distance of the losses of the run from those of PyTorch's in f32. */
async function furthest(device: Device, context: TestContext, precision: Precision, steps: number): Promise<number> {
  const run = await smallLlamaRun(context);
  const model = await smallLlama(device, context, { dtype: 'f16' });
  const schedule = warmupCosineSchedule({ peak: 3e-3, warmupSteps: 10, totalSteps: 60, final: 3e-4 });
  const decays = ({ value }: { readonly value: Tensor }) => value.rank >= 2;
  const optimizer = chain(
    clipByGlobalNorm(1),
    adamw({ learningRate: schedule, betas: [0.9, 0.95], weightDecay: 0.1, decays }),
  );
  const step = createTrainStep({ model, loss, optimizer, precision });
  let most = 0;
  for (let i = 0; i < steps; i++) {
    const result = await step(run.batch(i));
    if (result.applied) most = Math.max(most, Math.abs(result.loss - run.losses[step.steps - 1]!));
  }
  step.dispose();
  model.dispose();
  return most;
}

conformance('mixed precision', (device) => {
  test('follows the run in f32; with a scale of 2^-12 it does not', async (context) => {
    if (/SwiftShader|llvmpipe/i.test(device().description)) context.skip('a software GPU compiles it for minutes');
    const lossScale = dynamicLossScale({ initial: 2 ** 10 }); // does not overflow, so that no step is skipped
    expect(await furthest(device(), context, { compute: 'f16', lossScale }, stepsHere)).toBeLessThan(2e-3);
    if (stepsHere === 60)
      expect(await furthest(device(), context, { compute: 'f16', lossScale: 2 ** -12 }, stepsHere)).toBeGreaterThan(
        0.1,
      );
  }, 120_000);

  test('an overflow halves the scale and moves nothing else; good steps double it', async () => {
    const w = device().variable([1, 2], { name: 'w', dtype: 'f16' });
    const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x.cast('f16')).sum() };
    const lossScale = dynamicLossScale({ initial: 1024, interval: 2, maximum: 4096 });
    const rate = (step: number) => 0.5 / (1 + step);
    const step = createTrainStep({
      model,
      loss: (output) => output.cast('f32'),
      optimizer: adamw({ learningRate: rate, weightDecay: 0 }),
      precision: { compute: 'f16', lossScale },
      average: { decay: 0.5 },
    });
    const values = async () =>
      Object.fromEntries(
        await Promise.all(
          [...step.state, ['w', w] as const]
            .filter(([name]) => !name.startsWith('lossScale'))
            .map(async ([name, variable]) => [name, [...(await variable.data())]]),
        ),
      );
    const good = { x: Float32Array.of(1, -1) };
    const scales: number[] = [];
    const rates: number[] = [];
    const take = async (x: Float32Array, applied: boolean) => {
      const result = await step({ x });
      expect(result.applied).toBe(applied);
      scales.push(result.lossScale);
      if (applied) rates.push(result.learningRate);
    };
    await take(good.x, true);
    const before = await values();
    // others keep values between fused f16 operations in f32, where this does not overflow
    const overflow = backendName === 'reference' ? 100 : Number.NEGATIVE_INFINITY;
    for (const bad of [overflow, Number.POSITIVE_INFINITY, Number.NaN]) {
      await take(Float32Array.of(bad, 1), false); // 100 times 1,024 is beyond f16
      expect(await values()).toEqual(before);
    }
    for (let i = 0; i < 7; i++) await take(good.x, true);
    // good, then three overflows, then doubling after each two good steps, up to the maximum
    expect(scales).toEqual([1024, 1024, 512, 256, 128, 128, 256, 256, 512, 512, 1024]);
    expect(rates).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map(rate));
    expect(await step.progress()).toEqual({ steps: 11, applied: 8 });
    const master = (await step.state.get('master.w')!.data()) as Float32Array;
    const half = f16ToF32((await w.data()) as Uint16Array);
    expect([...half].every((value, i) => Math.abs(value - master[i]!) < 1e-3)).toBe(true);
    step.dispose();
    w.dispose();
  });

  test('steps in a row need no result to keep schedule and moments right over a skipped one', async () => {
    const run = async (inARow: boolean) => {
      const w = device().variable([1, 2], { name: 'w' });
      const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sum() };
      const optimizer = adamw({ learningRate: (step) => 0.1 / (1 + step), weightDecay: 0 });
      const step = createTrainStep({ model, loss: (output: Tensor) => output, optimizer });
      const results = [];
      for (let i = 0; i < 12; i++) {
        const submitted = await step.submit({ x: Float32Array.of(i % 3 === 1 ? Number.NaN : 1 + i, -1) });
        results.push(inARow ? submitted.result : await submitted.result);
      }
      const rates = (await Promise.all(results)).map(({ learningRate }) => learningRate);
      const values = [...(await w.data())];
      step.dispose();
      w.dispose();
      return { rates, values };
    };
    const [waited, ahead] = [await run(false), await run(true)];
    expect(ahead).toEqual(waited);
    expect(waited.rates.at(-1)).toBeCloseTo(0.1 / 8, 9); // the eighth step that was applied is the last but one of 12
  });
});
