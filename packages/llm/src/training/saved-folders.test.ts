import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { createLora } from '@heddle/trainer/lora';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, type ModelFiles } from '../index.ts';
import { adaptedModel, createModelFolder, openAdapter, saveAdapter, saveModel } from '../training.ts';

const device = await openReference();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-training-'));
});
afterAll(async () => {
  await device.dispose();
  await rm(folder, { recursive: true });
});

/** A model, and an adapter whose both factors are random. */
async function adapted(files: ModelFiles = tinyLlama()) {
  const model = await loadModel(files, { device });
  const lora = await createLora(device, model.parameters, {
    rank: 2,
    alpha: 8,
    targets: ['q_proj', 'up_proj', 'lm_head'],
  });
  for (const { b } of lora.factors.values())
    await device.realize(
      [],
      [b.assign(device.arange(b.shape[0]!, 'f32').mul(0.3).sin().reshape([-1, 1]).expand(b.shape))],
    );
  return { model, lora };
}
const rows = [[1, 2, 3, 4]];
const logitsOf = async (model: { logits: (rows: number[][]) => Promise<{ data(): Promise<ArrayLike<number>> }> }) =>
  Array.from(await (await model.logits(rows)).data());

test('an adapter that was saved is the one that is opened; damaged or missing files are named', async () => {
  const { model, lora } = await adapted();
  const path = join(folder, 'adapter');
  await saveAdapter(path, lora, 'base');
  expect((await readdir(path)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  const again = await openAdapter(device, path);
  const [first, second] = [adaptedModel(model, lora), adaptedModel(model, again)];
  const [expected, found] = [await logitsOf(first), await logitsOf(second)];
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 5); // the device keeps float64
  expect(Math.abs((await logitsOf(model))[0]! - expected[0]!)).toBeGreaterThan(0.1);
  expect(first.headWeight).toBeUndefined(); // the head has factors
  await expect(openAdapter(device, join(folder, 'none'))).rejects.toMatchObject({
    code: 'ERR_FILE_NOT_FOUND',
    message: expect.stringMatching(/^open adapter: no folder at /),
  });
  await rm(join(path, 'adapter_config.json'));
  await expect(openAdapter(device, path)).rejects.toThrow(/there is no .*adapter_config\.json/);
  await writeFile(join(path, 'adapter_config.json'), '{');
  await expect(openAdapter(device, path)).rejects.toMatchObject({ code: 'ERR_ADAPTER' });
  // a folder that cannot be made
  await expect(saveAdapter(join(path, 'adapter_config.json', 'in'), lora)).rejects.toMatchObject({
    code: 'ERR_FILE_ACCESS',
  });
  for (const each of [first, second, model]) await each.dispose();
  for (const each of [lora, again]) each.dispose();
});

test('a new model draws its weights from a seed, or from a generator that goes on; with a template it takes conversations', async () => {
  const options = { texts: ['one two three two one'], vocabularySize: 270, width: 64, layers: 1, context: 32 };
  const written = async (name: string, more: object) => {
    await createModelFolder(join(folder, name), { ...options, ...more });
    return readFile(join(folder, name, 'model.safetensors'));
  };
  const [first, same, other] = [
    await written('a', {}),
    await written('b', { seed: 1 }),
    await written('c', { seed: 2 }),
  ];
  expect(first.equals(same)).toBe(true);
  expect(first.equals(other)).toBe(false);
  let drawn = 0;
  const random = () => (drawn++ * 0.618) % 1;
  const [early, late] = [
    await written('d', { random }),
    await written('e', { random, chatTemplate: '{{ messages[0].content }}' }),
  ];
  expect(drawn % 4).toBe(0);
  expect(early.equals(late)).toBe(false);
  const chats = async (name: string) => {
    await using model = await loadModel(join(folder, name), { device });
    return model.requireTokenizer().applyChatTemplate([{ role: 'user', content: 'two' }]);
  };
  expect(await chats('e')).toBe('two');
  await expect(chats('d')).rejects.toThrow(/template/);
  await expect(createModelFolder(join(folder, 'f'), { ...options, width: 65 })).rejects.toThrow(/multiple of 64/);
});

test('a model is saved with its adapter in the weights, in three dtypes, and loads as any other', async () => {
  const source = tinyLlama(undefined, { torch_dtype: 'float64' });
  const from: ModelFiles = {
    label: 'source',
    open: (name) => (name === 'tokenizer_config.json' ? new TextEncoder().encode('{"a":1}') : source.open(name)),
  };
  const { model, lora } = await adapted(from);
  const both = adaptedModel(model, lora);
  const expected = await logitsOf(both);
  for (const [dtype, stored, tolerance] of [
    ['f32', 'F32', 1e-5],
    ['f16', 'F16', 0.02],
    ['bf16', 'BF16', 0.2],
  ] as const) {
    const path = join(folder, dtype);
    await saveModel(path, model, { from, dtype, adapter: lora });
    expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer_config.json']);
    const file = await openSafetensors(join(path, 'model.safetensors'));
    expect(file.info('lm_head.weight').dtype).toBe(stored);
    await file.close();
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config['torch_dtype']).toBe({ f32: 'float32', f16: 'float16', bf16: 'bfloat16' }[dtype]);
    const saved = await loadModel(path, { device });
    const found = await logitsOf(saved);
    for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(tolerance);
    await saved.dispose();
  }
  // without the adapter it is the model itself
  await saveModel(join(folder, 'plain'), model, { from });
  const plain = await loadModel(join(folder, 'plain'), { device });
  expect(await logitsOf(plain)).toEqual(await logitsOf(model));
  await expect(saveModel(folder, model, { from, dtype: 'q8_0' as never })).rejects.toThrow(
    /dtype takes f32, f16, bf16/,
  );
  await expect(saveModel(folder, model, { from: { label: 'empty', open: () => undefined } })).rejects.toThrow(
    /empty has no config\.json/,
  );
  for (const each of [both, model, plain]) await each.dispose();
  lora.dispose();
});

test.each([
  ['GPT2LMHeadModel', { n_embd: 8, n_layer: 1, n_head: 2, n_positions: 16 }],
  ['MixtralForCausalLM', { num_local_experts: 3 }],
  ['GptOssForCausalLM', { num_local_experts: 3, num_experts_per_tok: 2 }],
])('the tensors of a %s are saved as they were', async (architecture, fields) => {
  const from = tinyLlama(undefined, { architectures: [architecture], ...fields });
  const model = await loadModel(from, { device });
  const path = join(folder, architecture);
  await saveModel(path, model, { from });
  const saved = await openSafetensors(join(path, 'model.safetensors'));
  const first = await openSafetensors((await from.open('model.safetensors')) as Uint8Array);
  expect([...saved.names()].sort()).toEqual([...first.names()].sort());
  for (const name of first.names()) {
    expect(saved.info(name).shape).toEqual(first.info(name).shape);
    expect(await saved.read(name), name).toEqual(await first.read(name));
  }
  await saved.close();
  await model.dispose();
});

test('weights in blocks are not saved, and what stands in the folder stays', async () => {
  const files = tinyLlama(undefined, { hidden_size: 32, intermediate_size: 32 });
  const path = join(folder, 'blocks');
  const whole = await loadModel(files, { device });
  await saveModel(path, whole, { from: files });
  const before = await readFile(join(path, 'model.safetensors'));
  const model = await loadModel(files, { device, dtype: 'q8_0' });
  await expect(saveModel(path, model, { from: files })).rejects.toThrow(/is q8_0, which folders do not hold/);
  // a weight that is gone in the middle of the file
  whole.parameters.at(-1)!.dispose();
  await expect(saveModel(path, whole, { from: files })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  expect(await readFile(join(path, 'model.safetensors'))).toEqual(before);
  expect(await readdir(path)).not.toContain('model.safetensors.partial');
  for (const each of [whole, model]) await each.dispose();
});
