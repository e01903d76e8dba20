import { crossEntropy, type Device, gradients, type Tensor } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile } from '@heddle/tensor/safetensors';
import { adamw, chain, clipByGlobalNorm, train, warmupCosineSchedule } from '@heddle/trainer';
import { expect, type TestContext } from 'vitest';
import { sharedModel } from '../../../test-support/model-files.ts';
import { needShared, needSharedJson, sharedMissing } from '../../../test-support/shared.ts';
import { backendName, conformance, test } from '../../../test-support/suite.ts';
import { type LoadedModel, loadModel } from './index.ts';

type Context = Pick<TestContext, 'skip'>;
interface Batch {
  readonly tokens: { readonly data: Int32Array; readonly shape: readonly number[] };
  readonly targets: { readonly data: Int32Array; readonly shape: readonly number[] };
}

const onWebGpu = backendName.startsWith('webgpu');
/** What is rounding: relative distance of gradients, distance of losses, relative distance of gradient norms. */
const tolerance = onWebGpu ? { gradient: 1e-4, loss: 1e-4, norm: 1e-3 } : { gradient: 1e-5, loss: 1e-5, norm: 1e-5 };
/** How many steps of the random and of the real model are taken: the slower devices do not get far in a minute. */
function stepsOn({ name, description }: Device): { readonly random: number; readonly real: number } {
  if (name === 'onnx') return { random: 60, real: 100 };
  if (name === 'reference') return { random: 5, real: 2 };
  if (backendName === 'webgpu-browser') return { random: 2, real: 0 };
  return /SwiftShader/i.test(description) ? { random: 4, real: 1 } : { random: 60, real: 10 };
}

const timeout = 240_000;
const tooSlow = 'the real model takes a minute a step on a software GPU; it runs on webgpu-node';
const folder = 'fixtures/training';
const nextTokenLoss = ({ logits }: { readonly logits: Tensor }, { targets }: { readonly targets: Tensor }) =>
  crossEntropy(logits, targets);

async function trainable(device: Device, context: Context, path: string): Promise<LoadedModel> {
  const files = await sharedModel(path);
  return files ? loadModel(files, { device, trainable: true }) : context.skip(sharedMissing(path));
}

const safetensors = async (context: Context, path: string) => openSafetensors(await needShared(context, path));
const floats = async (file: SafetensorsFile, name: string) => new Float32Array((await file.read(name)).buffer);

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

/** Gradients of the loss by the model's parameters, by name. */
async function gradientsOf(model: LoadedModel, { tokens, targets }: Batch): Promise<ReadonlyMap<string, Float32Array>> {
  const { device, parameters } = model;
  const inputs = {
    tokens: device.tensor(tokens.data, { shape: tokens.shape }),
    targets: device.tensor(targets.data, { shape: targets.shape }),
  };
  const byParameter = gradients(nextTokenLoss(model.forward(inputs), inputs), parameters);
  await device.realize(byParameter);
  const found = new Map<string, Float32Array>();
  for (const [i, { name }] of parameters.entries()) found.set(name, (await byParameter[i]!.data()) as Float32Array);
  for (const tensor of [...byParameter, inputs.tokens, inputs.targets]) tensor.dispose();
  return found;
}

/** Batches `[B, L]` whose targets are the tokens one further. */
function windows(stream: Int32Array, rows: number, length: number, start: number): Batch {
  const cut = (offset: number) => ({
    data: stream.slice(start + offset, start + offset + rows * length),
    shape: [rows, length],
  });
  return { tokens: cut(0), targets: cut(1) };
}

interface Run {
  readonly batches: readonly Batch[];
  readonly loss: readonly number[];
  readonly gradientNorm: readonly number[];
  readonly learningRate: readonly number[];
  readonly peak: number;
  /** Steps of the whole schedule. */
  readonly steps: number;
}

/** Trains as the run elsewhere did, and compares every report with what that one noted. */
async function expectSameRun(model: LoadedModel, run: Run): Promise<void> {
  const schedule = { peak: run.peak, warmupSteps: 10, totalSteps: run.steps, final: run.peak / 10 };
  const optimizer = chain(
    clipByGlobalNorm(1),
    adamw({ learningRate: warmupCosineSchedule(schedule), betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 }),
  );
  let taken = 0;
  for await (const report of train({ model, loss: nextTokenLoss, optimizer, data: run.batches })) {
    const { step } = report;
    expect(Math.abs(report.loss - run.loss[step]!), `loss of step ${step}`).toBeLessThan(tolerance.loss);
    expect(Math.abs(report.gradientNorm / run.gradientNorm[step]! - 1), `norm of step ${step}`).toBeLessThan(
      tolerance.norm,
    );
    expect(report.learningRate).toBeCloseTo(run.learningRate[step]!, 9);
    expect(report.tokens).toBe(run.batches[step]!.tokens.data.length);
    taken++;
  }
  expect(taken).toBe(run.batches.length);
}

async function expectWeights({ parameters }: LoadedModel, expected: SafetensorsFile): Promise<void> {
  for (const parameter of parameters) {
    const { name } = parameter;
    const values = asInFile(parameter, (await parameter.data()) as Float32Array);
    const wanted = await floats(expected, name);
    // the gradient with respect to GPT-2's key bias is rounding alone, of which AdamW makes steps of full length
    const isCompared = (_: number, i: number) =>
      !name.endsWith('c_attn.bias') || Math.floor((3 * i) / wanted.length) !== 1;
    expect(distance(values.filter(isCompared), wanted.filter(isCompared)), name).toBeLessThan(1e-4);
  }
}

/** Values of a weight as its file has them: GPT-2's matrices are `[In, Out]` there. */
function asInFile({ name, shape }: LoadedModel['parameters'][number], values: Float32Array): Float32Array {
  if (!/\.c_(attn|proj|fc)\.weight$/.test(name)) return values;
  const [outputs, inputs] = shape as readonly [number, number];
  return Float32Array.from(values, (_, i) => values[(i % outputs) * inputs + Math.floor(i / outputs)]!);
}

conformance('training models of random weights as PyTorch does', (device) => {
  const batchesOf = async (file: SafetensorsFile): Promise<Batch[]> => {
    const [steps, rows, width] = file.info('batches').shape as [number, number, number];
    const values = new Int32Array((await file.read('batches')).buffer);
    const columns = (step: number, start: number) =>
      Int32Array.from({ length: rows * (width - 1) }, (_, i) => {
        const [row, column] = [Math.floor(i / (width - 1)), i % (width - 1)];
        return values[(step * rows + row) * width + column + start]!;
      });
    const shape = [rows, width - 1];
    return Array.from({ length: steps }, (_, step) => ({
      tokens: { data: columns(step, 0), shape },
      targets: { data: columns(step, 1), shape },
    }));
  };

  const models = ['llama-mqa', 'gpt2'];

  for (const name of models)
    test(`${name}: first gradients`, async (context) => {
      const expected = await safetensors(context, `${folder}/${name}.first_gradients.safetensors`);
      const [batch] = await batchesOf(await safetensors(context, `${folder}/${name}.run.safetensors`));
      const model = await trainable(device(), context, `fixtures/models/${name}`);
      const found = await gradientsOf(model, batch!);
      expect([...found.keys()].sort()).toEqual([...expected.names()].sort());
      for (const parameter of model.parameters) {
        const gradient = asInFile(parameter, found.get(parameter.name)!);
        const wanted = await floats(expected, parameter.name);
        expect(distance(gradient, wanted), parameter.name).toBeLessThan(tolerance.gradient);
      }
      await model.dispose();
    });

  const steps = 'steps: losses, norms, rates, and the weights after the last of 60';
  for (const name of models)
    test(`${name}: ${steps}`, { timeout }, async (context) => {
      const count = stepsOn(device()).random;
      const file = await safetensors(context, `${folder}/${name}.run.safetensors`);
      const final = await safetensors(context, `${folder}/${name}.final.safetensors`);
      const model = await trainable(device(), context, `fixtures/models/${name}`);
      await expectSameRun(model, {
        batches: (await batchesOf(file)).slice(0, count),
        loss: [...(await floats(file, 'loss'))],
        gradientNorm: [...(await floats(file, 'grad_norm'))],
        learningRate: [...(await floats(file, 'lr'))],
        peak: 3e-3,
        steps: 60,
      });
      if (count === 60) await expectWeights(model, final);
      await model.dispose();
    });
});

conformance('training a real model as PyTorch does', (device) => {
  const path = 'models/stories260K';
  const stream = async (context: Context) => {
    const bytes = await needShared(context, `${folder}/tinyshakespeare-tok512-first65536.u16`);
    return Int32Array.from(new Uint16Array(bytes.buffer));
  };

  test('first gradients', { timeout }, async (context) => {
    if (backendName === 'webgpu-browser') context.skip(tooSlow);
    const shapes = (await needSharedJson(context, `${folder}/stories260K-step0-grads.json`)) as Stacks;
    const bytes = await needShared(context, `${folder}/stories260K-step0-grads.f32`);
    const expected = unstacked(new Float32Array(bytes.buffer), shapes, 8);
    const model = await trainable(device(), context, path);
    const found = await gradientsOf(model, windows(await stream(context), 8, 64, 0));
    expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, gradient] of found)
      expect(distance(gradient, expected.get(name)!), name).toBeLessThan(tolerance.gradient);
    await model.dispose();
  });

  test('steps: losses, norms and rates', { timeout }, async (context) => {
    const steps = stepsOn(device()).real;
    if (steps === 0) context.skip(tooSlow);
    const run = (await needSharedJson(context, `${folder}/stories260K-adamw100.json`)) as Record<string, number[]>;
    const tokens = await stream(context);
    const model = await trainable(device(), context, path);
    await expectSameRun(model, {
      batches: Array.from({ length: steps }, (_, step) => windows(tokens, 8, 64, step * 512)),
      loss: run['loss_fp64']!,
      gradientNorm: run['gradnorm_fp64']!,
      learningRate: run['lr_per_step']!,
      peak: 1e-3,
      steps: 100,
    });
    await model.dispose();
  });
});

type Stacks = Readonly<Record<string, { readonly shape: readonly number[] }>>;
/** Names that the weights have elsewhere, and here; those of layers are stacked there. */
const layerNames: Readonly<Record<string, string>> = {
  ra: 'input_layernorm',
  wq: 'self_attn.q_proj',
  wk: 'self_attn.k_proj',
  wv: 'self_attn.v_proj',
  wo: 'self_attn.o_proj',
  rf: 'post_attention_layernorm',
  w1: 'mlp.gate_proj',
  w2: 'mlp.down_proj',
  w3: 'mlp.up_proj',
};

/** Tensors by their Hugging Face names, from one array that stacks layers and has pairs of rotated rows side by side. */
function unstacked(all: Float32Array, stacks: Stacks, headDim: number): ReadonlyMap<string, Float32Array> {
  const found = new Map<string, Float32Array>();
  let start = 0;
  for (const [name, { shape }] of Object.entries(stacks)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = all.subarray(start, start + size);
    start += size;
    const layer = layerNames[name];
    if (!layer) found.set(name === 'emb' ? 'model.embed_tokens.weight' : 'model.norm.weight', values);
    else
      for (let i = 0; i < shape[0]!; i++) {
        const part = values.subarray((i * size) / shape[0]!, ((i + 1) * size) / shape[0]!);
        const rows = name === 'wq' || name === 'wk' ? halvesApart(part, shape[1]!, headDim) : part;
        found.set(`model.layers.${i}.${layer}.weight`, rows);
      }
  }
  expect(start).toBe(all.length);
  return found;
}

/** Rows 2j and 2j + 1 of each head become rows j and j + headDim / 2. */
function halvesApart(rows: Float32Array, count: number, headDim: number): Float32Array {
  const width = rows.length / count;
  const out = new Float32Array(rows.length);
  for (let row = 0; row < count; row++) {
    const [head, within] = [Math.floor(row / headDim), row % headDim];
    const to = head * headDim + (within % 2) * (headDim / 2) + Math.floor(within / 2);
    out.set(rows.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}
