import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, type SafetensorsEntry, writeSafetensors } from '@heddle/tensor/safetensors';
import { expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type LoadedModel, loadModel, type ModelFiles } from '../index.ts';

type Tensors = Record<string, SafetensorsEntry>;
const [V, E] = [16, 8];
const head = 'lm_head.weight';
const embedding = 'model.embed_tokens.weight';

/** A tiny Llama whose configuration and tensors were changed. */
async function changed(config: object, change: (tensors: Tensors) => Tensors = (same) => same): Promise<ModelFiles> {
  const files = tinyLlama(undefined, config);
  const file = await openSafetensors((await files.open('model.safetensors')) as Uint8Array);
  const tensors: Tensors = {};
  for (const name of file.names()) {
    const data = new Float32Array((await file.read(name)).buffer);
    tensors[name] = { dtype: 'F32', shape: file.info(name).shape, data };
  }
  const bytes = writeSafetensors(change(tensors));
  return { label: files.label, open: (name) => (name === 'model.safetensors' ? bytes : files.open(name)) };
}

async function loaded<T>(files: ModelFiles, use: (model: LoadedModel, logits: number[]) => T | Promise<T>): Promise<T> {
  await using device = await openReference();
  await using model = await loadModel(files, { device });
  const logits = await model.logits([[3, 1, 4]]);
  const values = [...((await logits.data()) as Float32Array)];
  logits.dispose();
  return await use(model, values);
}
const logitsOf = (files: ModelFiles) => loaded(files, (_, logits) => logits);

const other: SafetensorsEntry = {
  dtype: 'F32',
  shape: [V, E],
  data: Float32Array.from({ length: V * E }, (_, i) => Math.cos(i)),
};
const renamed = (tensors: Tensors, rename: (name: string) => string): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]));

test('a head of its own counts before a tie of the configuration; one that is the same is the tie', async () => {
  const untied = await logitsOf(await changed({ tie_word_embeddings: false }, (all) => ({ ...all, [head]: other })));
  await loaded(await changed({ tie_word_embeddings: true }, (all) => ({ ...all, [head]: other })), (model, logits) => {
    expect(logits).toEqual(untied);
    expect(model.config.tieWordEmbeddings).toBe(false);
    expect(model.notes.join('\n')).toMatch(
      /ties the head to the embedding, but model\.safetensors has another lm_head/,
    );
    expect(model.deviations).toEqual([]);
  });
  const tied = await logitsOf(await changed({ tie_word_embeddings: true }));
  await loaded(
    await changed({ tie_word_embeddings: true }, (all) => ({ ...all, [head]: all[embedding]! })),
    (model, logits) => {
      expect(logits).toEqual(tied);
      expect(model.config.tieWordEmbeddings).toBe(true);
      expect(model.notes.join()).not.toMatch(/lm_head/);
    },
  );
});

test('a tied model that is stored by its head alone', async () => {
  const tied = await logitsOf(await changed({ tie_word_embeddings: true }));
  const files = await changed({ tie_word_embeddings: true }, ({ [embedding]: shared, ...all }) => ({
    ...all,
    [head]: shared!,
  }));
  expect(await logitsOf(files)).toEqual(tied);
  await using device = await openReference();
  const untied = await changed({ tie_word_embeddings: false }, ({ [embedding]: shared, ...all }) => ({
    ...all,
    [head]: shared!,
  }));
  await expect(loadModel(untied, { device })).rejects.toThrow(/model\.embed_tokens\.weight \[16, 8\] is missing/);
});

test('biases of the file are used where the configuration is silent, and said where it denies them', async () => {
  const bias: SafetensorsEntry = { dtype: 'F32', shape: [E], data: Float32Array.from({ length: E }, (_, i) => i) };
  const biased = (all: Tensors) => ({
    ...all,
    'model.layers.0.self_attn.o_proj.bias': bias,
    'model.layers.1.mlp.down_proj.bias': bias,
  });
  const plain = await logitsOf(await changed({}));
  await loaded(await changed({}, biased), (model, logits) => {
    expect(logits).not.toEqual(plain);
    expect(model.notes.join('\n')).toMatch(/o_proj\.bias, of which the configuration says nothing; it is used/);
    expect(model.deviations).toEqual([]);
  });
  await loaded(await changed({ attention_bias: false, mlp_bias: false }, biased), (model, logits) => {
    expect(logits).toEqual(plain);
    expect(model.deviations).toEqual([
      expect.stringMatching(/^2 tensors of model\.safetensors are not used: .*o_proj\.bias.*\(the configuration says/),
    ]);
  });
});

test('names of wrappers and of models without their head', async () => {
  const right = await logitsOf(await changed({ tie_word_embeddings: true }));
  const base = (name: string) => name.replace(/^model\./, '');
  for (const rename of [
    base,
    (name: string) => `module.${name}`,
    (name: string) => `_orig_mod.${name}`,
    (name: string) => `base_model.model.${name}`,
    (name: string) => `module.${base(name)}`,
  ]) {
    const config = { tie_word_embeddings: true, architectures: ['LlamaModel'] };
    await loaded(await changed(config, (all) => renamed(all, rename)), (model, logits) => {
      expect(logits).toEqual(right);
      expect(model.notes.join('\n')).toMatch(/names of its tensors|names its tensors without/);
    });
  }
  await using device = await openReference();
  const headless = await changed({ architectures: ['LlamaModel'] }, ({ [head]: _, ...all }) => renamed(all, base));
  await expect(loadModel(headless, { device })).rejects.toThrow(
    expect.objectContaining({
      code: 'ERR_WEIGHTS',
      message: expect.stringMatching(/lm_head\.weight \[16, 8\] is missing: the file is that of a base model/),
    }),
  );
  expect(device.memory().live).toBe(0);
});

test('tensors that are not used are said, those of the model itself as what changes results', async () => {
  const one: SafetensorsEntry = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
  const add = (name: string) => changed({}, (all) => ({ ...all, [name]: one }));
  const said = async (name: string) =>
    loaded(await add(name), ({ notes, deviations }) => [
      notes.filter((note) => note.includes(name)).length,
      deviations.length,
    ]);
  expect(await said('model.layers.7.input_layernorm.weight')).toEqual([1, 1]);
  expect(await said('model.layers.0.self_attn.q_norm.weight')).toEqual([1, 1]);
  expect(await said('vision_tower.patch.weight')).toEqual([1, 0]);
  expect(await said('model.layers.0.self_attn.rotary_emb.inv_freq')).toEqual([0, 0]);
});

test('a language model that is a part of one that takes images loads alone, from both generations of its names', async () => {
  const expected = await logitsOf(await changed({}));
  const inner = { vocab_size: V, hidden_size: E, num_attention_heads: 2, num_hidden_layers: 2, model_type: 'llama' };
  const outer = {
    architectures: ['NovelForConditionalGeneration'],
    model_type: 'novel',
    text_config: { ...inner, num_key_value_heads: 1, intermediate_size: 16, max_position_embeddings: 32 },
    eos_token_id: 3,
  };
  const vision = { 'vision_tower.encoder.layers.0.mlp.fc1.weight': other };
  const generations = [
    (name: string) => `language_model.${name}`,
    (name: string) => name.replace('model.', 'model.language_model.'),
  ];
  for (const rename of generations)
    await loaded(await changed(outer, (all) => ({ ...renamed(all, rename), ...vision })), (model, logits) => {
      expect(logits).toEqual(expected);
      expect(model.config).toMatchObject({ architecture: 'llama', eosTokenIds: [3] });
      expect(model.deviations).toEqual([]);
      expect(model.notes.join()).toMatch(/1 tensor of model.safetensors is not used: vision_tower/);
    });
});
