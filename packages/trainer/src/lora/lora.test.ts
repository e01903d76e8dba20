import { type Device, linear, type Tensor } from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import { openReference } from '@heddle/tensor/reference';
import { writeSafetensors } from '@heddle/tensor/safetensors';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sgd } from '../optimizers/sgd.ts';
import { createTrainStep } from '../step/train-step.ts';
import { createLora } from './lora.ts';
import { adapterFiles, readAdapter } from './peft-files.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const weightsOf = () => ({
  'h.0.up.weight': device.variable(new Float32Array(12).fill(0.5), { shape: [3, 4], name: 'up' }),
  'h.0.norm.weight': device.variable(new Float32Array(4).fill(1), { name: 'norm' }),
  'h.1.up.weight': device.variable(new Float32Array(12).fill(0.25), { shape: [3, 4], name: 'up' }),
});

test('changes nothing at first, begins within the bounds of PEFT, the same for the same seed', async () => {
  const weights = weightsOf();
  const lora = await createLora(device, weights, { rank: 2, targets: ['up'] });
  expect([...lora.parameters.keys()]).toEqual([
    'h.0.up.lora_A.weight',
    'h.0.up.lora_B.weight',
    'h.1.up.lora_A.weight',
    'h.1.up.lora_B.weight',
  ]);
  const x = device.tensor([[1, 2, 3, 4]]);
  const y = linear(x, weights['h.0.up.weight']);
  expect([...(await lora.apply('h.0.up.weight', x, y).data())]).toEqual([...(await y.data())]);
  const values = [...(await lora.parameters.get('h.0.up.lora_A.weight')!.data())];
  expect(values.every((value) => value !== 0 && Math.abs(value) <= 0.5)).toBe(true);
  const [same, other] = await Promise.all(
    [1, 2].map((seed) => createLora(device, weights, { rank: 2, targets: () => true, seed: seed - 1 })),
  );
  expect([...(await same!.parameters.get('h.0.up.lora_A.weight')!.data())]).toEqual(values);
  expect([...(await other!.parameters.get('h.0.up.lora_A.weight')!.data())]).not.toEqual(values);
  expect(lora.apply('h.0.norm', x, y)).toBe(y);
});

test('scales by alpha over the rank, or over its root; leaves out inputs where a key is given', async () => {
  const x = device.tensor([[1, 2, 3, 4]]);
  const y = device.zeros([1, 3]);
  for (const [rankStabilized, scale] of [
    [false, 2],
    [true, 4],
  ] as const) {
    const lora = await createLora(device, weightsOf(), {
      rank: 4,
      alpha: 8,
      rankStabilized,
      dropout: 0.5,
      targets: ['h.1.up'],
    });
    expect([...lora.factors.keys()]).toEqual(['h.1.up']);
    const { a, b } = lora.factors.get('h.1.up')!;
    await device.realize([], [b.assign(device.ones([3, 4]))]);
    const sum = await linear(x, a).sum().item();
    const plain = await lora.apply('h.1.up', x, y).data();
    expect(plain[0]).toBeCloseTo(scale * sum, 5);
    const left = await lora.apply('h.1.up', x, y, { key: 3 }).data();
    expect([...left]).not.toEqual([...plain]);
    expect([...(await lora.apply('h.1.up', x, y, { key: 3 }).data())]).toEqual([...left]);
    const merged = await lora
      .merged('h.1.up', device.zeros([3, 4]))
      .sum()
      .item();
    expect(merged).toBeCloseTo(3 * scale * (await a.sum().item()), 5);
  }
});

test('trains beside weights in blocks, which stay as they are', async () => {
  const data = Float32Array.from({ length: 32 * 64 }, (_, i) => Math.sin(i));
  const weight = device.variable(quantize(data, 'q4_0'), { shape: [64, 32], dtype: 'q4_0', frozen: true });
  const lora = await createLora(device, { 'layer.weight': weight }, { rank: 2, targets: ['layer'] });
  const x = { data: Float32Array.from({ length: 32 }, (_, i) => Math.cos(i)), shape: [1, 32] };
  const step = createTrainStep({
    model: {
      parameters: lora.parameters,
      forward: (batch: { readonly x: Tensor }) => lora.apply('layer', batch.x, linear(batch.x, weight)),
    },
    loss: (y) => y.pow(2).mean(),
    optimizer: sgd({ learningRate: 0.05 }),
  });
  const first = await step({ x });
  for (let i = 0; i < 10; i++) await step({ x });
  expect((await step({ x })).loss).toBeLessThan(first.loss * 0.9);
  expect(() => lora.merged('layer', weight)).toThrow(/is q4_0, which nothing is added to/);
  step.dispose();
});

test('refuses options and files that make no sense', async () => {
  const weights = weightsOf();
  for (const [options, message] of [
    [{ rank: 0, targets: ['up'] }, /rank must be/],
    [{ rank: 1, alpha: 0, targets: ['up'] }, /alpha must be positive/],
    [{ rank: 1, dropout: 1, targets: ['up'] }, /dropout must be/],
    [{ rank: 1, targets: [] }, /targets must be/],
    [{ rank: 1, targets: ['down'] }, /no weight is a target: down/],
    [{ rank: 1, targets: ['norm'] }, /'h.0.norm.weight' must be \[Out, In\]/],
  ] as const)
    await expect(createLora(device, weights, options)).rejects.toThrow(message);

  const lora = await createLora(device, weights, { rank: 2, targets: ['up'] });
  const files = await adapterFiles(lora);
  const config = JSON.parse(files['adapter_config.json']) as Record<string, unknown>;
  const bytes = files['adapter_model.safetensors'];
  const refused = async (change: object, file: Uint8Array, message: RegExp) => {
    const error = await readAdapter(device, { config: JSON.stringify({ ...config, ...change }), weights: file }).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code: 'ERR_ADAPTER' });
    expect((error as Error).message).toMatch(message);
  };
  await refused({ peft_type: 'IA3' }, bytes, /peft_type must be LORA/);
  await refused({ use_dora: true }, bytes, /use_dora true is not supported/);
  await refused({ modules_to_save: ['lm_head'] }, bytes, /modules_to_save/);
  await refused({ r: 'many' }, bytes, /r must be a number/);
  await refused({ target_modules: 3 }, bytes, /target_modules/);
  await refused({ alpha_pattern: { up: 'x' } }, bytes, /alpha_pattern/);
  await refused({}, bytes.subarray(0, 40), /adapter_model.safetensors/);
  const tensor = (shape: number[]) => ({
    dtype: 'F32' as const,
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)),
  });
  await refused({}, writeSafetensors({ 'h.0.up.lora_A.weight': tensor([2, 4]) }), /has one factor/);
  await refused({}, writeSafetensors({ 'h.0.up.weight': tensor([2, 4]) }), /is no factor/);
  await refused({}, writeSafetensors({}), /has no factors/);
  await refused(
    {},
    writeSafetensors({ 'h.0.up.lora_A.weight': tensor([2, 4]), 'h.0.up.lora_B.weight': tensor([3, 1]) }),
    /must be \[rank, In\] and \[Out, rank\]/,
  );
  await expect(readAdapter(device, { config: '{', weights: bytes })).rejects.toMatchObject({ code: 'ERR_ADAPTER' });
  const special = await readAdapter(device, {
    config: JSON.stringify({ ...config, alpha_pattern: { '1.up': 6 } }),
    weights: bytes,
  });
  expect([...special.factors.values()].map(({ scale }) => scale)).toEqual([1, 3]);
});
