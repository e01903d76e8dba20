import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect, test } from 'vitest';
import { type GgufEntry, type GgufTensorEntry, writeGguf } from '../../../../test-support/gguf-writer.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type LoadedModel, loadModel } from '../index.ts';
import { ggufFamilies } from './gguf-families.ts';

const device = await openReference();
afterAll(() => device.dispose());

type Values = Readonly<Record<string, number | string>>;

const entries = (values: Values): Record<string, GgufEntry> =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]): [string, GgufEntry] => {
      if (typeof value === 'string') return [key, ['string', value]];
      return [key, Number.isInteger(value) ? ['u32', value] : ['f32', value]];
    }),
  );

/** Rows of each head as neighbours in place of halves. */
function inPairs(values: Float32Array, rows: number, headRows: number): Float32Array {
  const width = values.length / rows;
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const within = row % headRows;
    const to = row - within + (within < headRows / 2 ? 2 * within : 2 * (within - headRows / 2) + 1);
    result.set(values.subarray(row * width, (row + 1) * width), to * width);
  }
  return result;
}

/** A model as llama.cpp's converter writes it. */
async function written(
  model: LoadedModel,
  architecture: string,
  keys: Values,
  extra: Readonly<Record<string, readonly number[]>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const family = ggufFamilies[architecture]!((key) => key in keys);
  const nameOf = (ours: string) => {
    const [, base, part] = /^(.*)\.(weight|bias)$/.exec(ours)!;
    const layer = new RegExp(`^${family.prefix.replace('.', '\\.')}\\.(\\d+)\\.(.*)$`).exec(base!);
    return layer ? `blk.${layer[1]}.${family.layer[layer[2]!]}.${part}` : `${family.whole[base!]}.${part}`;
  };
  const tensors: Record<string, GgufTensorEntry> = {};
  for (const parameter of model.parameters) {
    const shape = parameter.shape as readonly number[];
    let values = (await parameter.data()) as Float32Array;
    if (family.pairedRows && /[qk]_proj/.test(parameter.name)) values = inPairs(values, shape[0]!, 4);
    if (family.normsPlusOne?.test(parameter.name)) values = values.map((value) => value + 1);
    expect(nameOf(parameter.name)).not.toMatch(/undefined/);
    tensors[nameOf(parameter.name)] = { type: 0, shape, bytes: new Uint8Array(values.slice().buffer) };
  }
  for (const [name, values] of Object.entries(extra))
    tensors[name] = { type: 0, shape: [values.length], bytes: new Uint8Array(Float32Array.from(values).buffer) };
  const sizes = {
    block_count: 2,
    context_length: 32,
    embedding_length: 8,
    feed_forward_length: 16,
    'attention.head_count': 2,
    'attention.head_count_kv': 1,
    'attention.layer_norm_rms_epsilon': 1e-5,
    ...keys,
  };
  const metadata = Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, value]);
  return writeGguf(
    { 'general.architecture': ['string', architecture], ...entries(Object.fromEntries(metadata)) },
    tensors,
  );
}

const epsilon = { rms_norm_eps: 1e-5 };
const cases: [architecture: string, name: string, fields: object, keys: Values, extra?: object][] = [
  ['llama', 'LlamaForCausalLM', {}, {}],
  ['llama', 'MistralForCausalLM', { sliding_window: 2 }, { 'attention.sliding_window': 2 }],
  [
    'llama',
    'MixtralForCausalLM',
    { num_local_experts: 3, num_experts_per_tok: 2 },
    { expert_count: 3, expert_used_count: 2, 'rope.freq_base': 1e6 },
  ],
  ['qwen2', 'Qwen2ForCausalLM', { rope_theta: 1e6 }, { 'rope.freq_base': 1e6 }],
  [
    'qwen2',
    'Qwen2ForCausalLM',
    {
      rope_scaling: {
        rope_type: 'yarn',
        factor: 4,
        original_max_position_embeddings: 8,
        attention_factor: 1.25 * (0.1 * Math.log(4) + 1),
      },
    },
    {
      'rope.freq_base': 1e4,
      'rope.scaling.type': 'yarn',
      'rope.scaling.factor': 4,
      'rope.scaling.original_context_length': 8,
      'rope.scaling.attn_factor': 1.25,
    },
  ],
  ['qwen3', 'Qwen3ForCausalLM', { head_dim: 4 }, { 'attention.key_length': 4, 'attention.value_length': 4 }],
  [
    'qwen3moe',
    'Qwen3MoeForCausalLM',
    { num_experts: 3, num_experts_per_tok: 2, moe_intermediate_size: 4, norm_topk_prob: true },
    { expert_count: 3, expert_used_count: 2, expert_feed_forward_length: 4 },
  ],
  ['phi3', 'Phi3ForCausalLM', { partial_rotary_factor: 0.5 }, { 'rope.dimension_count': 2 }],
  [
    'phi3',
    'Phi3ForCausalLM',
    {
      original_max_position_embeddings: 4,
      rope_scaling: { type: 'longrope', short_factor: [1, 2], long_factor: [3, 5], attention_factor: 1.25 },
    },
    { 'rope.scaling.original_context_length': 4, 'rope.scaling.attn_factor': 1.25 },
    { 'rope_factors_short.weight': [1, 2], 'rope_factors_long.weight': [3, 5] },
  ],
  [
    'gemma2',
    'Gemma2ForCausalLM',
    { head_dim: 4, query_pre_attn_scalar: 4, sliding_window: 2, attn_logit_softcapping: 3, final_logit_softcapping: 7 },
    {
      'attention.key_length': 4,
      'attention.sliding_window': 2,
      attn_logit_softcapping: 3,
      final_logit_softcapping: 7,
    },
  ],
  [
    'gemma3',
    'Gemma3ForCausalLM',
    { head_dim: 4, query_pre_attn_scalar: 4, sliding_window: 2, rope_local_base_freq: 100 },
    {
      'attention.key_length': 4,
      'attention.sliding_window': 2,
      'rope.freq_base': 1e6,
      'rope.freq_base_swa': 100,
    },
  ],
  ['smollm3', 'SmolLM3ForCausalLM', {}, { 'rope.freq_base': 2e6 }],
  ['olmo2', 'Olmo2ForCausalLM', {}, {}],
  ['olmo2', 'Olmo3ForCausalLM', { sliding_window: 2 }, { 'attention.sliding_window': 2, 'rope.freq_base': 5e5 }],
  [
    'granite',
    'GraniteForCausalLM',
    { attention_multiplier: 0.25, embedding_multiplier: 3, residual_multiplier: 0.5, logits_scaling: 2 },
    { 'attention.scale': 0.25, embedding_scale: 3, residual_scale: 0.5, logit_scale: 2 },
  ],
  [
    'gpt2',
    'GPT2LMHeadModel',
    { n_embd: 8, n_layer: 2, n_head: 2, n_positions: 32, n_inner: 16 },
    { 'attention.layer_norm_epsilon': 1e-5 },
  ],
];

test.each(cases)('%s as a %s gives the logits of the folder', async (architecture, name, fields, keys, extra = {}) => {
  await using folder = await loadModel(tinyLlama(undefined, { architectures: [name], ...epsilon, ...fields }), {
    device,
  });
  const bytes = await written(folder, architecture, keys, extra as Record<string, readonly number[]>);
  const files = { label: architecture, open: (file: string) => (file === 'model.gguf' ? bytes : undefined) };
  await using model = await loadModel(files, { device });
  expect(model.deviations).toEqual([]);
  const logits = async (of: LoadedModel) => {
    const result = await of.logits([[1, 5, 2, 7, 3, 9]]);
    const data = [...((await result.data()) as Float32Array)];
    result.dispose();
    return data;
  };
  const [got, expected] = [await logits(model), await logits(folder)];
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(1e-5);
});
