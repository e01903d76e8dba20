import { linear, type Tensor } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared } from '../../../../test-support/shared.ts';
import { type Project, smallLlama, smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { adamw } from '../optimizers/adam.ts';
import { createTrainStep } from '../step/train-step.ts';
import type { Lora } from './lora.ts';
import { adapterFiles, readAdapter } from './peft-files.ts';

const floats = async (file: SafetensorsFile, name: string) => new Float32Array((await file.read(name)).buffer);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const slow = backendName.startsWith('webgpu');

async function fixture(context: TestContext) {
  const folder = 'fixtures/lora';
  const config = text(await needShared(context, `${folder}/adapter/adapter_config.json`));
  const weights = await needShared(context, `${folder}/adapter/adapter_model.safetensors`);
  const expected = await openSafetensors(await needShared(context, `${folder}/expected.safetensors`));
  return { config, weights, expected };
}

/** The linear layers of a model with an adapter. */
const adapted =
  (lora: Lora): Project =>
  (name, x, weight) =>
    lora.apply(name, x, linear(x, weight));

function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

conformance("adapters in PEFT's format", (device) => {
  test('logits with an adapter, and merged; written and read again', async (context) => {
    if (slow) leaveToNode(context);
    const { config, weights, expected } = await fixture(context);
    const lora = await readAdapter(device(), { config, weights });
    expect(lora.options).toMatchObject({ rank: 4, alpha: 8, rankStabilized: false });
    const ids = device().tensor(new Int32Array((await expected.read('input_ids')).buffer), { shape: [2, 20] });
    const model = await smallLlama(device(), context, { project: adapted(lora), frozen: true });
    const plain = await smallLlama(device(), context);
    const furthest = async (logits: Tensor, name: string) => {
      const [actual, wanted] = [await logits.data(), await floats(expected, name)];
      return wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0);
    };
    expect(await furthest(model.forward({ tokens: ids }), 'logits')).toBeLessThan(1e-4);
    expect(await furthest(plain.forward({ tokens: ids }), 'logits')).toBeGreaterThan(0.01);
    await lora.mergeInto(plain.parameters);
    expect(await furthest(plain.forward({ tokens: ids }), 'logits_merged')).toBeLessThan(1e-4);
    await expect(lora.mergeInto(model.parameters)).rejects.toThrow(/is frozen/);
    await expect(lora.mergeInto({})).rejects.toThrow(/the weights have no/);

    const files = await adapterFiles(lora, 'base');
    const again = await readAdapter(device(), {
      config: files['adapter_config.json'],
      weights: files['adapter_model.safetensors'],
    });
    expect([...again.factors.keys()]).toEqual([...lora.factors.keys()]);
    for (const [name, variable] of lora.parameters)
      expect(await again.parameters.get(name)!.data()).toEqual(await variable.data());
    const original = await openSafetensors(weights);
    const written = await openSafetensors(files['adapter_model.safetensors']);
    expect([...written.names()].sort()).toEqual([...original.names()].sort());
    for (const each of [lora, again, model, plain, ids]) each.dispose();
  }, 120_000);

  test("30 steps from PEFT's start: losses, and the factors after them", async (context) => {
    if (slow) leaveToNode(context);
    const { config, expected } = await fixture(context);
    const steps = backendName === 'onnx' ? 30 : 2;
    const run = await smallLlamaRun(context, 'lora/expected.safetensors');
    const { writeSafetensors } = await import('@heddle/tensor/safetensors');
    const start = [];
    for (const name of expected.names())
      if (name.startsWith('start.'))
        start.push([
          name.slice('start.'.length),
          { dtype: 'F32', shape: expected.info(name).shape, data: await expected.read(name) },
        ] as const);
    const lora = await readAdapter(device(), { config, weights: writeSafetensors(start) });
    const model = await smallLlama(device(), context, { project: adapted(lora), frozen: true });
    const step = createTrainStep({
      model: { parameters: lora.parameters, forward: model.forward },
      loss: (logits, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets),
      optimizer: adamw({ learningRate: 2e-3, weightDecay: 0 }),
    });
    for (let i = 0; i < steps; i++)
      expect(Math.abs((await step(run.batch(i))).loss - run.losses[i]!), `step ${i}`).toBeLessThan(1e-4);
    if (steps === 30)
      for (const [name, variable] of lora.parameters) {
        const wanted = await floats(expected, `final.base_model.model.${name.replace('.weight', '.default.weight')}`);
        expect(distance(await variable.data(), wanted), name).toBeLessThan(1e-4);
      }
    for (const each of [step, lora, model]) each.dispose();
  }, 120_000);
});
