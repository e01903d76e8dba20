import type { Device, Tensor } from '@heddle/tensor';
import { expect, type TestContext } from 'vitest';
import { smallLlama, smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import type { Checkpointing } from '../model/checkpointing.ts';
import { adamw } from '../optimizers/adam.ts';
import { createTrainStep } from './train-step.ts';

const loss = (logits: Tensor, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets);
const layers = 6;
const isSoftware = ({ description }: Device) => /SwiftShader|llvmpipe/i.test(description);
const tooSlow = 'a software GPU compiles it for minutes; a smaller network is tested there';

/** Losses of two steps, a weight after them, and what the step says. */
async function trained(device: Device, context: TestContext, checkpointing: Checkpointing) {
  const run = await smallLlamaRun(context);
  const model = await smallLlama(device, context, { layers });
  const step = createTrainStep({ model, loss, optimizer: adamw({ learningRate: 1e-3 }), checkpointing });
  const losses: number[] = [];
  for (let i = 0; i < 2; i++) losses.push((await step(run.batch(i, 0, 1))).loss);
  const weight = [...(await model.parameters['model.layers.3.mlp.up_proj.weight']!.data())];
  const explained = step.explain();
  const planned = step.plannedBytes()?.peak;
  step.dispose();
  model.dispose();
  return { losses, weight, explained, planned };
}

conformance('checkpointing of blocks', (device) => {
  test('changes no loss and no weight, whichever blocks are computed again', async (context) => {
    if (isSoftware(device())) context.skip(tooSlow);
    const none = await trained(device(), context, 'none');
    expect(none.explained).toContain(`none of ${layers} blocks`);
    const cases: [Checkpointing, string][] = [
      ['every', '0, 1, 2, 3, 4, 5'],
      [{ segment: 4 }, '0-3, 4-5'],
      [{ blocks: [1, 5] }, '1, 5'],
    ];
    for (const [policy, shown] of cases) {
      const again = await trained(device(), context, policy);
      expect(again.explained).toContain(`of ${layers} blocks these are computed again in the backward pass: ${shown}`);
      if (backendName.startsWith('onnx')) {
        for (const [i, value] of again.losses.entries())
          expect(Math.abs(value / none.losses[i]! - 1)).toBeLessThan(1e-6);
        for (const [i, value] of again.weight.entries()) expect(Math.abs(value - none.weight[i]!)).toBeLessThan(1e-5);
      } else {
        expect(again.losses).toEqual(none.losses);
        expect(again.weight).toEqual(none.weight);
      }
      if (none.planned !== undefined) expect(again.planned).toBeLessThan(none.planned);
    }
  }, 120_000);

  test('finds the cheapest way within a budget of bytes, and says what does not fit', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('only WebGPU knows what a plan takes');
    if (isSoftware(device())) context.skip(tooSlow);
    const [none, every] = [await trained(device(), context, 'none'), await trained(device(), context, 'every')];
    expect((await trained(device(), context, { maxBytes: none.planned! })).explained).toContain('none of 6 blocks');
    const some = await trained(device(), context, { maxBytes: Math.ceil((none.planned! + every.planned!) / 2) });
    expect(some.planned).toBeLessThanOrEqual((none.planned! + every.planned!) / 2);
    expect(some.losses).toEqual(none.losses);
    await expect(trained(device(), context, { maxBytes: 1000 })).rejects.toThrow(/no checkpointing fits 1000 bytes/);
  }, 120_000);
});
