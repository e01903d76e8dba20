import { type Device, gradients, type Variable } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile } from '@heddle/tensor/safetensors';
import { adamw, chain, clipByGlobalNorm, createTrainStep, warmupCosineSchedule } from '@heddle/trainer';
import { expect, type TestContext } from 'vitest';
import { needShared } from '../test-support/shared.ts';
import { backendName, conformance, test } from '../test-support/suite.ts';
import { type Gpt2Shape, gpt2, gpt2Weights } from './gpt2-model.ts';

type Context = Pick<TestContext, 'skip'>;

/** A small GPT-2 that PyTorch trained; batches are `[B, L + 1]`. */
const shape: Gpt2Shape = { V: 320, P: 128, E: 64, N: 2, H: 4 };
const [B, L, chunkRows] = [4, 64, 96];
const onWebGpu = backendName.startsWith('webgpu');
/** Slow back ends take seconds for a step. */
const steps = backendName === 'onnx' ? 20 : 1;
const inNode = 'the benchmark runs in Node, and its kernels are tested in the browser one by one';
const tooSlow = 'a software GPU compiles for seconds what the steps run too';

const open = async (context: Context, path: string) => openSafetensors(await needShared(context, `fixtures/${path}`));
const floats = async (file: SafetensorsFile, name: string) => new Float32Array((await file.read(name)).buffer);

async function trainedModel(device: Device, context: Context) {
  const file = await open(context, 'models/gpt2/model.safetensors');
  const weights: Record<string, Variable> = {};
  for (const [name, size] of Object.entries(gpt2Weights(shape)))
    weights[name] = device.variable(await floats(file, `transformer.${name}`), { shape: size, name });
  return gpt2(shape, weights, chunkRows);
}

/** Tokens and targets of a step of the run. */
function batchOf(batches: Int32Array, step: number) {
  const rows = (start: number) =>
    Int32Array.from({ length: B * L }, (_, i) => batches[(step * B + Math.floor(i / L)) * (L + 1) + (i % L) + start]!);
  return { tokens: { data: rows(0), shape: [B, L] }, targets: { data: rows(1), shape: [B, L] } };
}

/** Norm of the difference over the norm of what is expected. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

conformance('the GPT-2 of the benchmark', (device) => {
  test('has the gradients that PyTorch has', async (context) => {
    if (backendName === 'webgpu-browser') context.skip(inNode);
    if (/SwiftShader/i.test(device().description)) context.skip(tooSlow);
    const model = await trainedModel(device(), context);
    const run = await open(context, 'training/gpt2.run.safetensors');
    const expected = await open(context, 'training/gpt2.first_gradients.safetensors');
    const { tokens, targets } = batchOf(new Int32Array((await run.read('batches')).buffer), 0);
    const batch = {
      tokens: device().tensor(tokens.data, { shape: tokens.shape }),
      targets: device().tensor(targets.data, { shape: targets.shape }),
    };
    const names = Object.keys(model.parameters);
    const found = gradients(model.forward(batch), Object.values(model.parameters));
    await device().realize(found);
    for (const [i, name] of names.entries()) {
      const gradient = (await found[i]!.data()) as Float32Array;
      const wanted = await floats(expected, `transformer.${name}`);
      // the softmax takes no notice of the bias of keys: nothing but rounding there
      const own = name.endsWith('c_attn.bias') ? [gradient, wanted].map(withoutKeys) : [gradient, wanted];
      expect(distance(own[0]!, own[1]!), name).toBeLessThan(onWebGpu ? 1e-4 : 1e-5);
    }
    for (const tensor of [...found, batch.tokens, batch.targets, ...Object.values(model.parameters)]) tensor.dispose();
  });

  test('takes the steps that PyTorch took', async (context) => {
    if (backendName === 'webgpu-browser') context.skip(inNode);
    const model = await trainedModel(device(), context);
    const run = await open(context, 'training/gpt2.run.safetensors');
    const [losses, norms] = [await floats(run, 'loss'), await floats(run, 'grad_norm')];
    const schedule = warmupCosineSchedule({ peak: 3e-3, warmupSteps: 10, totalSteps: 60, final: 3e-4 });
    const step = createTrainStep({
      model,
      loss: (loss) => loss,
      optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: schedule, betas: [0.9, 0.95], weightDecay: 0.1 })),
    });
    const batches = new Int32Array((await run.read('batches')).buffer);
    for (let i = 0; i < steps; i++) {
      const { loss, gradientNorm } = await step(batchOf(batches, i));
      expect(Math.abs(loss - losses[i]!), `loss of step ${i}`).toBeLessThan(onWebGpu ? 1e-4 : 2e-5);
      expect(Math.abs(gradientNorm / norms[i]! - 1), `norm of step ${i}`).toBeLessThan(1e-3);
    }
    step.dispose();
    for (const weight of Object.values(model.parameters)) weight.dispose();
  });
});

const withoutKeys = (bias: Float32Array) => Float32Array.of(...bias.slice(0, shape.E), ...bias.slice(2 * shape.E));
