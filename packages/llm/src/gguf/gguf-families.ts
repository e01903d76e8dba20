/** How llama.cpp writes the models of a family. */
export interface GgufFamily {
  /** What Hugging Face calls it. */
  readonly architecture: string;
  /** Hugging Face's names of weights outside of layers, and the file's, both without `.weight` and `.bias`. */
  readonly whole: Readonly<Record<string, string>>;
  /** What stands before the number of a layer in Hugging Face's names. */
  readonly prefix: string;
  /** Names within a layer, ours and the file's. */
  readonly layer: Readonly<Record<string, string>>;
  /** Fields of the configuration by the key that has them. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Fields that no key has. */
  readonly config?: (sizes: GgufSizes, number: (key: string) => number | undefined) => object;
  /** Whether its configuration has none of the usual names. */
  readonly ownNames?: boolean;
  /** Whether rows of queries and keys are in pairs of neighbours rather than in halves. */
  readonly pairedRows?: boolean;
  /** Whether the weights of norms are 1 more than Hugging Face's. */
  readonly normsPlusOne?: boolean;
  /** Whether `rope.dimension_count` may be a part of a head. */
  readonly rotatesParts?: boolean;
}

/** Sizes that fields follow from. */
interface GgufSizes {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
}

const usual = {
  prefix: 'model.layers',
  whole: { 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', lm_head: 'output' },
};
const attention = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
};
const gated = { 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down' };
const normsBefore = { input_layernorm: 'attn_norm', post_attention_layernorm: 'ffn_norm' };
const headNorms = { 'self_attn.q_norm': 'attn_q_norm', 'self_attn.k_norm': 'attn_k_norm' };
const normsAround = {
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
};
const experts = (name: string, router: string) => ({
  [`${name}.${router}`]: 'ffn_gate_inp',
  [`${name}.experts.gate_proj`]: 'ffn_gate_exps',
  [`${name}.experts.up_proj`]: 'ffn_up_exps',
  [`${name}.experts.down_proj`]: 'ffn_down_exps',
});
const window = { 'attention.sliding_window': 'sliding_window' };
const llama = { ...usual, layer: { ...normsBefore, ...attention, ...gated } };

/**
 * The families by the architecture that files name, for what keys a file has that are not 0. Names and transformations are those of
 * llama.cpp's converter.
 */
export const ggufFamilies: Readonly<Record<string, (has: (key: string) => boolean) => GgufFamily>> = {
  llama(has) {
    const own = { ...llama, pairedRows: true };
    if (has('expert_count'))
      return {
        ...own,
        architecture: 'MixtralForCausalLM',
        layer: { ...normsBefore, ...attention, ...experts('block_sparse_moe', 'gate') },
        fields: { expert_count: 'num_local_experts', expert_used_count: 'num_experts_per_tok' },
      };
    if (has('attention.sliding_window')) return { ...own, architecture: 'MistralForCausalLM', fields: window };
    return { ...own, architecture: 'LlamaForCausalLM' };
  },
  qwen2: () => ({ ...llama, architecture: 'Qwen2ForCausalLM' }),
  qwen3: () => ({
    ...usual,
    architecture: 'Qwen3ForCausalLM',
    layer: { ...normsBefore, ...attention, ...headNorms, ...gated },
  }),
  qwen3moe: () => ({
    ...usual,
    architecture: 'Qwen3MoeForCausalLM',
    layer: { ...normsBefore, ...attention, ...headNorms, ...experts('mlp', 'gate') },
    fields: {
      expert_count: 'num_local_experts',
      expert_used_count: 'num_experts_per_tok',
      expert_feed_forward_length: 'moe_intermediate_size',
    },
    config: () => ({ norm_topk_prob: true }),
  }),
  phi3: () => ({
    ...usual,
    architecture: 'Phi3ForCausalLM',
    layer: {
      ...normsBefore,
      'self_attn.qkv_proj': 'attn_qkv',
      'self_attn.o_proj': 'attn_output',
      'mlp.gate_up_proj': 'ffn_up',
      'mlp.down_proj': 'ffn_down',
    },
    fields: window,
    rotatesParts: true,
  }),
  gemma2: () => ({
    ...usual,
    architecture: 'Gemma2ForCausalLM',
    layer: { ...normsAround, ...attention, ...gated },
    normsPlusOne: true,
    fields: {
      ...window,
      attn_logit_softcapping: 'attn_logit_softcapping',
      final_logit_softcapping: 'final_logit_softcapping',
    },
    config: (sizes) => ({ query_pre_attn_scalar: gemmaScale(sizes, 46) }),
  }),
  gemma3: () => ({
    ...usual,
    architecture: 'Gemma3ForCausalLM',
    layer: { ...normsAround, ...attention, ...headNorms, ...gated },
    normsPlusOne: true,
    fields: {
      ...window,
      final_logit_softcapping: 'final_logit_softcapping',
      'rope.freq_base_swa': 'rope_local_base_freq',
    },
    config: (sizes) => ({ query_pre_attn_scalar: gemmaScale(sizes, 62) }),
  }),
  smollm3: () => ({ ...llama, architecture: 'SmolLM3ForCausalLM', pairedRows: true }),
  olmo2: (has) => ({
    ...usual,
    architecture: has('attention.sliding_window') ? 'Olmo3ForCausalLM' : 'Olmo2ForCausalLM',
    layer: {
      post_attention_layernorm: 'post_attention_norm',
      post_feedforward_layernorm: 'post_ffw_norm',
      ...attention,
      ...headNorms,
      ...gated,
    },
    fields: window,
  }),
  granite: () => ({
    ...llama,
    architecture: 'GraniteForCausalLM',
    pairedRows: true,
    fields: {
      'attention.scale': 'attention_multiplier',
      embedding_scale: 'embedding_multiplier',
      residual_scale: 'residual_multiplier',
      logit_scale: 'logits_scaling',
    },
  }),
  gpt2: () => ({
    architecture: 'GPT2LMHeadModel',
    ownNames: true,
    prefix: 'transformer.h',
    whole: {
      'transformer.wte': 'token_embd',
      'transformer.wpe': 'position_embd',
      'transformer.ln_f': 'output_norm',
      lm_head: 'output',
    },
    layer: {
      ln_1: 'attn_norm',
      'attn.c_attn': 'attn_qkv',
      'attn.c_proj': 'attn_output',
      ln_2: 'ffn_norm',
      'mlp.c_fc': 'ffn_up',
      'mlp.c_proj': 'ffn_down',
    },
    fields: { 'attention.layer_norm_epsilon': 'layer_norm_epsilon' },
    config: ({ layers, hiddenSize, heads }, number) => ({
      n_layer: layers,
      n_embd: hiddenSize,
      n_head: heads,
      n_positions: number('context_length'),
      n_inner: number('feed_forward_length'),
    }),
  }),
};

/** The largest of the Gemmas, known by its layers, scales by another size than that of its heads. */
function gemmaScale({ layers, hiddenSize, heads, headDim }: GgufSizes, largest: number): number {
  return layers === largest ? hiddenSize / heads : headDim;
}
