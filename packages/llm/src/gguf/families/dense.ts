import type { GgufFamily } from './gguf-family.ts';
import { attention, experts, gated, headNorms, llamaNames, multipliers, normsBefore, usual, window } from './names.ts';
import { expertFields, f32, mixerOf } from './written.ts';

/** Llama, Mistral and Mixtral: told apart by the keys that a file has. */
export function llama(has: (key: string) => boolean): GgufFamily {
  const own = { ...llamaNames, pairedRows: true };
  const keys = { expert_count: 'num_local_experts', expert_used_count: 'num_experts_per_tok' };
  if (has('expert_count'))
    return {
      ...own,
      architecture: 'MixtralForCausalLM',
      layer: { ...normsBefore, ...attention, ...experts('block_sparse_moe', 'gate') },
      fields: keys,
      written: (layout) => ({ ...expertFields(layout), expert_feed_forward_length: undefined }),
    };
  if (has('attention.sliding_window')) return { ...own, architecture: 'MistralForCausalLM', fields: window };
  return { ...own, architecture: 'LlamaForCausalLM' };
}

/** Ministral 3: queries that grow with the position. */
export const mistral3: GgufFamily = {
  ...llamaNames,
  architecture: 'Ministral3ForCausalLM',
  pairedRows: true,
  keys: ['attention.temperature_scale'],
  scaling(keys) {
    const growth = keys.number('attention.temperature_scale');
    // frequencies alone are scaled, not what they turn
    return { mscale: 1, mscale_all_dim: 1, ...(growth && { llama_4_scaling_beta: growth }) };
  },
  written(layout) {
    const part = mixerOf(layout, 'attention');
    return {
      'attention.temperature_scale': f32(part?.queryGrowth?.beta),
      'rope.scaling.yarn_log_multiplier': part?.rotary?.scaling.kind === 'yarn' ? ['f32', 1] : undefined,
    };
  },
};

export const qwen2: GgufFamily = { ...llamaNames, architecture: 'Qwen2ForCausalLM' };

export const qwen3: GgufFamily = {
  ...usual,
  architecture: 'Qwen3ForCausalLM',
  layer: { ...normsBefore, ...attention, ...headNorms, ...gated },
};

/** Projections that are one in the files, and a rotary embedding of a part of each head. */
export const phi3: GgufFamily = {
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
};

export const smollm3: GgufFamily = { ...llamaNames, architecture: 'SmolLM3ForCausalLM', pairedRows: true };

/** OLMo 2 and 3. */
export function olmo2(has: (key: string) => boolean): GgufFamily {
  return {
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
    windowPeriod: 4,
  };
}

export const granite: GgufFamily = {
  ...llamaNames,
  architecture: 'GraniteForCausalLM',
  pairedRows: true,
  fields: multipliers,
  written: (layout) => ({
    'attention.scale': f32(mixerOf(layout, 'attention')?.scale),
    embedding_scale: f32(layout.embedding.multiplier),
    residual_scale: f32(layout.layers[0]?.mixer.multiplier),
    logit_scale: f32(layout.head.divisor),
  }),
};

/** Norms around each part; neighbours turn together here and there. */
export const glm4: GgufFamily = {
  ...usual,
  architecture: 'Glm4ForCausalLM',
  layer: {
    input_layernorm: 'attn_norm',
    post_self_attn_layernorm: 'post_attention_norm',
    post_attention_layernorm: 'ffn_norm',
    post_mlp_layernorm: 'post_ffw_norm',
    ...attention,
    'mlp.gate_up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  },
  rotatesParts: true,
  config: (keys) => ({ attention_bias: keys.hasTensor('blk.0.attn_q.bias') }),
};

/** Attention and feed-forward take the same norm. */
export const cohere2: GgufFamily = {
  ...usual,
  architecture: 'Cohere2ForCausalLM',
  layer: { input_layernorm: 'attn_norm', ...attention, ...gated },
  fields: { ...window, 'attention.layer_norm_epsilon': 'layer_norm_eps', logit_scale: 'logit_scale' },
  windowPeriod: 4,
  written: (layout) => ({ logit_scale: f32(1 / (layout.head.divisor ?? 1)) }),
};

export const gpt2: GgufFamily = {
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
  config: ({ layers, hiddenSize, heads, number }) => ({
    n_layer: layers,
    n_embd: hiddenSize,
    n_head: heads,
    n_positions: number('context_length'),
    n_inner: number('feed_forward_length'),
  }),
};
