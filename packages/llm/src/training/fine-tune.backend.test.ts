import type { Tensor } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile, writeSafetensors } from '@heddle/tensor/safetensors';
import { adamw, type Checkpointing, createTrainStep, train } from '@heddle/trainer';
import { exampleBatches } from '@heddle/trainer/data';
import { createLora, type Lora } from '@heddle/trainer/lora';
import { expect, type TestContext } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { smallLlamaRun } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, openEngine } from '../index.ts';
import { adaptedModel, nextTokenLoss, openAdapter, trainableLm, withDropoutKeys } from '../training.ts';

const path = 'fixtures/models/llama-mqa';
const slow = backendName !== 'onnx';
const floats = async (file: SafetensorsFile, name: string) => new Float32Array((await file.read(name)).buffer);
const furthest = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  Array.from(expected).reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0);

async function distance(lora: Lora, expected: SafetensorsFile, nameOf: (name: string) => string): Promise<number> {
  let [difference, size] = [0, 0];
  for (const [name, variable] of lora.parameters) {
    const [actual, wanted] = [await variable.data(), await floats(expected, nameOf(name))];
    wanted.forEach((value, i) => {
      difference += (actual[i]! - value) ** 2;
      size += value ** 2;
    });
  }
  return Math.sqrt(difference / size);
}

async function fixture(context: TestContext) {
  leaveToNode(context);
  const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
  const bytes = (name: string) => needShared(context, `fixtures/lora/${name}`);
  const adapter: Record<string, Uint8Array<ArrayBuffer>> = {
    'adapter_config.json': await bytes('adapter/adapter_config.json'),
    'adapter_model.safetensors': await bytes('adapter/adapter_model.safetensors'),
  };
  const expected = await openSafetensors(await bytes('expected.safetensors'));
  return { files, adapter: { label: 'adapter', open: (name: string) => adapter[name] }, expected };
}

conformance('fine-tuning a loaded model', (device) => {
  test("an adapter of PEFT's gives the logits that PEFT gives, and generates", async (context) => {
    const { files, adapter, expected } = await fixture(context);
    const [model, lora] = [await loadModel(files, { device: device() }), await openAdapter(device(), adapter)];
    const adapted = adaptedModel(model, lora);
    const ids = [...new Int32Array((await expected.read('input_ids')).buffer)];
    const rows = [ids.slice(0, 20), ids.slice(20)];
    const logits = (await (await adapted.logits(rows)).data()) as Float32Array;
    expect(furthest(logits, await floats(expected, 'logits'))).toBeLessThan(1e-4);
    const V = model.config.vocabularySize;
    const engine = openEngine(adapted);
    const first = await engine.generate({ tokens: rows[0]!, maxTokens: 1 })[Symbol.asyncIterator]().next();
    const last = logits.subarray(19 * V, 20 * V);
    expect(first.value).toBe(last.indexOf(Math.max(...last)));
    await engine.dispose();
    await adapted.dispose();
    const other = await loadModel(tinyLlama(), { device: device() });
    expect(() => adaptedModel(other, lora)).toThrow(/another model: '.*down_proj' is \[8,16\] here, and \[64,160\] in/);
    lora.dispose();
    await other.dispose();
    await model.dispose();
  }, 120_000);

  test("from PEFT's start: losses, the factors after them, and the same with layers that are computed again", async (context) => {
    const { files, adapter, expected } = await fixture(context);
    const run = await smallLlamaRun(context, 'lora/expected.safetensors');
    const start: [string, { dtype: 'F32'; shape: readonly number[]; data: Uint8Array }][] = [];
    for (const name of expected.names())
      if (name.startsWith('start.')) {
        const { shape } = expected.info(name);
        start.push([name.slice(6), { dtype: 'F32', shape, data: await expected.read(name) }]);
      }
    const begun = {
      label: 'start',
      open: (name: string) => (name.endsWith('.json') ? adapter.open(name) : writeSafetensors(start)),
    };
    const steps = slow ? 2 : 30;
    const model = await loadModel(files, { device: device() });
    const results: Float32Array[] = [];
    for (const checkpointing of ['none', 'every'] satisfies Checkpointing[]) {
      const lora = await openAdapter(device(), begun);
      const optimizer = adamw({ learningRate: 2e-3, weightDecay: 0 });
      using step = createTrainStep({
        model: trainableLm(model, { adapter: lora }),
        loss: nextTokenLoss,
        optimizer,
        checkpointing,
      });
      for (let i = 0; i < steps; i++) {
        const { loss, count } = await step(run.batch(i));
        expect(Math.abs(loss - run.losses[i]!), `step ${i}`).toBeLessThan(1e-4);
        expect(count).toBe(run.batch(i).targets.data.length);
      }
      if (steps === 30)
        expect(
          await distance(
            lora,
            expected,
            (name) => `final.base_model.model.${name.replace('.weight', '.default.weight')}`,
          ),
        ).toBeLessThan(1e-4);
      expect(step.parameters.map(({ name }) => name)).toEqual([...lora.parameters.keys()]);
      if (checkpointing === 'every') expect(step.explain()).toMatch(/computed again in the backward pass: 0, 1/);
      results.push((await [...lora.parameters.values()].at(-1)!.data()) as Float32Array);
      lora.dispose();
    }
    if (backendName === 'onnx') expect(furthest(results[1]!, results[0]!)).toBeLessThan(1e-5);
    else expect(results[1]).toEqual(results[0]);
    await model.dispose();
  }, 240_000);

  test('packed examples, dropout that follows its key, a head with factors, and weights in blocks, computed again', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(undefined, { hidden_size: 32, intermediate_size: 32 }), {
      device: device(),
      dtype: 'q8_0',
    });
    const examples = [3, 4, 5].map((size, i) => ({
      tokens: Int32Array.from({ length: size + 1 }, (_, j) => (i * 5 + j * 3) % 16),
      learned: new Uint8Array(size + 1).fill(1),
    }));
    const targets = ['q_proj', 'down_proj', 'lm_head'];
    const losses = async (seed: number) => {
      const lora = await createLora(device(), model.parameters, { rank: 2, dropout: 0.5, targets });
      const stream = exampleBatches(examples, { rows: 1, length: 12, epochs: 6 });
      const found: number[] = [];
      for await (const { loss, count } of train({
        model: trainableLm(model, { adapter: lora }),
        loss: nextTokenLoss,
        optimizer: adamw({ learningRate: 0.01 }),
        data: withDropoutKeys(stream, { seed }),
        checkpointing: 'every',
      })) {
        found.push(loss);
        expect(count).toBe(12);
      }
      lora.dispose();
      return found;
    };
    const first = await losses(1);
    expect(first).toHaveLength(6);
    expect(first.at(-1)).toBeLessThan(first[0]!);
    if (!backendName.startsWith('webgpu')) {
      // each run compiles its kernels, which takes a software GPU its time
      const [again, other] = [await losses(1), await losses(2)];
      expect(again).toEqual(first);
      expect(other[0]).toBeCloseTo(first[0]!, 4); // the second factors are 0 at first
      expect(other.slice(2)).not.toEqual(first.slice(2));
    }
    await model.dispose();
  }, 120_000);

  test('beside f16 activations the loss is scaled: gradients far below the least f16 are those of f32', async (context) => {
    if (/SwiftShader|llvmpipe/i.test(device().description)) context.skip('a software GPU compiles it for minutes');
    leaveToNode(context);
    const config = tinyLlama(undefined, { hidden_size: 32, intermediate_size: 64 });
    const tokens = { data: Int32Array.from({ length: 8 }, (_, i) => (i * 5) % 16), shape: [1, 8] };
    const trained = async (activations: 'f32' | 'f16') => {
      const model = await loadModel(config, { device: device(), dtype: 'q8_0', activations });
      const adapter = await createLora(device(), model.parameters, { rank: 8, targets: ['q_proj', 'down_proj'] });
      const step = createTrainStep({
        model: trainableLm(model, { adapter }),
        // a gradient as small as in a batch of thousands of rows
        loss: (output, batch: { readonly targets: Tensor }) => nextTokenLoss(output, batch).total.mul(1e-8),
        optimizer: adamw({ learningRate: 0.02, epsilon: 1e-20 }),
      });
      const steps = [];
      for (let i = 0; i < 8; i++) steps.push(await step({ tokens, targets: tokens }));
      step.dispose();
      adapter.dispose();
      await model.dispose();
      return { losses: steps.map(({ loss }) => loss * 1e8), norm: steps[0]!.gradientNorm, scale: steps[0]!.lossScale };
    };
    const [exact, half] = [await trained('f32'), await trained('f16')];
    expect([exact.scale, half.scale]).toEqual([1, 65_536]);
    expect(Math.abs(half.norm / exact.norm - 1)).toBeLessThan(0.05);
    expect(half.losses.at(-1)).toBeLessThan(0.9 * half.losses[0]!);
    expect(Math.abs(half.losses.at(-1)! / exact.losses.at(-1)! - 1)).toBeLessThan(0.1);
  }, 120_000);
});
