import { FileFormatError } from '@heddle/tensor';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import type { GgufName } from './gguf-weights.ts';

/** A model of a GGUF file, in the words of Hugging Face. */
export interface GgufModel {
  /** What its config.json would say. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Hugging Face's name of each weight, and the file's. */
  readonly names: ReadonlyMap<string, GgufName>;
}

/** Keys of `llama.` that are read, and those without effect here. */
const known = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'vocab_size',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.attn_factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'expert_count',
  'expert_used_count',
  'tensor_data_layout',
]);

const perLayer: Readonly<Record<string, string>> = {
  'input_layernorm.weight': 'attn_norm.weight',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'post_attention_layernorm.weight': 'ffn_norm.weight',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/**
 * A Llama of a GGUF file.
 * @throws FileFormatError `ERR_CONFIG` for metadata that is missing, does not fit, or changes results and is not known
 */
export async function ggufLlama(file: GgufFile): Promise<GgufModel> {
  const metadata = new GgufMetadata(file);
  const number = (key: string) => metadata.uniform(`llama.${key}`);
  for (const key of metadata.keys())
    if (key.startsWith('llama.') && !known.has(key.slice('llama.'.length)))
      metadata.fail(key, 'none: what it does to a Llama is not known');
  if ((number('expert_count') ?? 0) > 0) metadata.fail('llama.expert_count', '0: mixtures of experts are not read');
  const heads = number('attention.head_count');
  const embedding = number('embedding_length');
  const headDim = number('attention.key_length') ?? (embedding ?? 0) / (heads || 1);
  if ((number('attention.value_length') ?? headDim) !== headDim)
    metadata.fail('llama.attention.value_length', `${headDim}, as attention.key_length`);
  if ((number('rope.dimension_count') ?? headDim) !== headDim)
    metadata.fail('llama.rope.dimension_count', `${headDim}: a Llama rotates whole heads`);
  const vocabulary = file.tensors.get('token_embd.weight')?.shape[0] ?? number('vocab_size');
  const positions = number('context_length');
  const config = {
    architectures: ['LlamaForCausalLM'],
    vocab_size: vocabulary,
    hidden_size: embedding,
    intermediate_size: number('feed_forward_length'),
    num_hidden_layers: number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: number('attention.head_count_kv'),
    head_dim: headDim,
    max_position_embeddings: positions,
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: number('rope.freq_base'),
    rope_scaling: await scaling(file, metadata, positions),
    tie_word_embeddings: !file.tensors.has('output.weight'),
    ...specialTokens(metadata),
  };
  return { config, names: weightNames(number('block_count') ?? 0, headDim) };
}

function weightNames(layers: number, headDim: number): Map<string, GgufName> {
  // the number may be a lie, and no file has so many
  if (layers > 10_000) throw new FileFormatError(`gguf: llama.block_count is ${layers}`, { code: 'ERR_CONFIG' });
  const names = new Map<string, GgufName>([
    ['model.embed_tokens.weight', { stored: 'token_embd.weight' }],
    ['model.norm.weight', { stored: 'output_norm.weight' }],
    ['lm_head.weight', { stored: 'output.weight' }],
  ]);
  for (let i = 0; i < layers; i++) {
    const [ours, theirs] = [`model.layers.${i}`, `blk.${i}`];
    for (const [name, stored] of Object.entries(perLayer))
      for (const part of name.endsWith('.weight') ? [''] : ['.weight', '.bias'])
        names.set(`${ours}.${name}${part}`, { stored: `${theirs}.${stored}${part}` });
    for (const kind of ['q', 'k'])
      for (const part of ['weight', 'bias'])
        names.set(`${ours}.self_attn.${kind}_proj.${part}`, {
          stored: `${theirs}.attn_${kind}.${part}`,
          pairedRows: headDim,
        });
  }
  return names;
}

/** Tokens that the file names; what it does not name is asked of the tokenizer. */
function specialTokens(metadata: GgufMetadata): Record<string, unknown> {
  const id = (name: string) => metadata.number(`tokenizer.ggml.${name}_token_id`);
  const ends = [id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined);
  return {
    ...(id('bos') !== undefined && { bos_token_id: id('bos') }),
    ...(ends.length > 0 && { eos_token_id: [...new Set(ends)] }),
    ...(id('padding') !== undefined && { pad_token_id: id('padding') }),
  };
}

/** Rotary scaling: by a rule that the metadata names, or by a divisor for each component that stands in a tensor. */
async function scaling(file: GgufFile, metadata: GgufMetadata, positions: number | undefined): Promise<object | null> {
  const key = (name: string) => `llama.rope.scaling.${name}`;
  const kind = metadata.string(key('type')) ?? (metadata.has('llama.rope.scale_linear') ? 'linear' : 'none');
  const factor = metadata.number(key('factor')) ?? metadata.number('llama.rope.scale_linear');
  const original = metadata.number(key('original_context_length')) ?? positions;
  const divisors = file.tensors.get('rope_freqs.weight');
  if (divisors) {
    if (kind !== 'none') metadata.fail(key('type'), 'none beside rope_freqs.weight');
    if (divisors.type !== 'F32')
      throw new FileFormatError(`gguf: ${file.label}: rope_freqs.weight must be F32, got ${divisors.type}`, {
        code: 'ERR_WEIGHTS',
      });
    const factors = [...new Float32Array((await file.read('rope_freqs.weight')).buffer)];
    const own = { short_factor: factors, long_factor: factors, original_max_position_embeddings: positions };
    return { rope_type: 'longrope', factor: 1, attention_factor: 1, ...own };
  }
  if (kind === 'none' || kind === '') return null;
  if (kind === 'linear') return { rope_type: 'linear', factor };
  if (kind !== 'yarn') return metadata.fail(key('type'), 'none, linear or yarn');
  const yarn = { rope_type: 'yarn', factor, original_max_position_embeddings: original };
  const attention = metadata.number(key('attn_factor'));
  if (attention === undefined || factor === undefined) return yarn;
  return { ...yarn, attention_factor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) };
}
