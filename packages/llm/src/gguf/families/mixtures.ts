import type { LatentAttentionLayout } from '../../models/decoder/latent-layout.ts';
import type { DecoderLayout } from '../../models/decoder/layout.ts';
import type { GgufFamily, GgufKeys } from './gguf-family.ts';
import { attention, experts, gated, headNorms, normsBefore, sharedExpert, usual, window } from './names.ts';
import { expertFields, expertsOf, f32, u32 } from './written.ts';

const expertKeys = {
  expert_used_count: 'num_experts_per_tok',
  expert_feed_forward_length: 'moe_intermediate_size',
};

export const qwen3moe: GgufFamily = {
  ...usual,
  architecture: 'Qwen3MoeForCausalLM',
  layer: { ...normsBefore, ...attention, ...headNorms, ...gated, ...experts('mlp', 'gate') },
  fields: { expert_count: 'num_local_experts', ...expertKeys },
  config: (keys) => ({ norm_topk_prob: true, mlp_only_layers: denseLayers(keys) }),
  written: expertFields,
};

/** Layers without a router. */
export function denseLayers({ layers, hasTensor }: GgufKeys): readonly number[] {
  return Array.from({ length: layers }, (_, i) => i).filter((i) => !hasTensor(`blk.${i}.ffn_gate_inp.weight`));
}

/** Attention sinks, and experts whose gates are clamped. */
export const gptOss: GgufFamily = {
  ...usual,
  architecture: 'GptOssForCausalLM',
  layer: {
    input_layernorm: 'attn_norm',
    post_attention_layernorm: 'post_attention_norm',
    ...attention,
    ...experts('mlp', 'router'),
  },
  arranged: () => ({ 'self_attn.sinks': { parts: [{ name: 'attn_sinks.weight' }] } }),
  fields: {
    ...window,
    expert_count: 'num_local_experts',
    expert_used_count: 'num_experts_per_tok',
    expert_feed_forward_length: 'intermediate_size',
  },
  windowPeriod: 2,
  // the ends of the ramp are as the model has them, not as llama.cpp rounds them
  scaling: () => ({ truncate: false }),
  written: expertFields,
};

/** Latent attention, and experts in groups with shared ones beside them. */
export const deepseek2: GgufFamily = {
  ...usual,
  architecture: 'DeepseekV3ForCausalLM',
  layer: {
    ...normsBefore,
    ...gated,
    'self_attn.q_proj': 'attn_q',
    'self_attn.q_a_proj': 'attn_q_a',
    'self_attn.q_a_layernorm': 'attn_q_a_norm',
    'self_attn.q_b_proj': 'attn_q_b',
    'self_attn.kv_a_proj_with_mqa': 'attn_kv_a_mqa',
    'self_attn.kv_a_layernorm': 'attn_kv_a_norm',
    'self_attn.o_proj': 'attn_output',
    ...experts('mlp', 'gate'),
    ...sharedExpert('mlp.shared_experts'),
  },
  arranged({ mixer: { part } }) {
    if (part.kind !== 'latent-attention') return {};
    const latent = { heads: part.heads, plain: part.plainDim, value: part.valueDim, latent: part.latentDim };
    return {
      'self_attn.kv_b_proj.weight': {
        parts: [{ name: 'attn_k_b.weight' }, { name: 'attn_v_b.weight' }],
        latent,
        older: 'attn_kv_b.weight',
      },
      'mlp.gate.e_score_correction_bias': { parts: [{ name: 'exp_probs_b.bias' }] },
    };
  },
  fields: {
    expert_count: 'n_routed_experts',
    ...expertKeys,
    expert_shared_count: 'n_shared_experts',
    expert_weights_scale: 'routed_scaling_factor',
    leading_dense_block_count: 'first_k_dense_replace',
    'attention.kv_lora_rank': 'kv_lora_rank',
  },
  keys: [
    'attention.q_lora_rank',
    'attention.key_length_mla',
    'attention.value_length_mla',
    'expert_weights_norm',
    'expert_gating_func',
    'expert_group_count',
    'expert_group_used_count',
  ],
  rotatesParts: true,
  config: deepseekConfig,
  scaling: (keys) => {
    const multiplier = (keys.number('rope.scaling.yarn_log_multiplier') ?? 0) * 10;
    return multiplier === 0 ? {} : { mscale: multiplier, mscale_all_dim: multiplier };
  },
  written: deepseekFields,
};

/** Numbers of the ways in which scores are made of a router's logits. */
const sigmoidScores = 2;

function deepseekConfig(keys: GgufKeys): object {
  const { number } = keys;
  const gating = number('expert_gating_func');
  if (gating !== undefined && gating !== sigmoidScores) keys.fail('expert_gating_func', `${sigmoidScores}: sigmoid`);
  const rotated = number('rope.dimension_count') ?? 0;
  const headDim = number('attention.key_length_mla') ?? number('attention.key_length') ?? 0;
  return {
    head_dim: rotated,
    partial_rotary_factor: null,
    num_key_value_heads: null,
    q_lora_rank: number('attention.q_lora_rank') ?? null,
    qk_rope_head_dim: rotated,
    qk_nope_head_dim: headDim - rotated,
    v_head_dim: number('attention.value_length_mla') ?? number('attention.value_length'),
    n_group: number('expert_group_count') ?? 1,
    topk_group: number('expert_group_used_count') ?? 1,
    norm_topk_prob: keys.flags('expert_weights_norm')?.[0] ?? false,
    // where a file says nothing they are softmax, which is not computed here
    ...(gating === undefined && { scoring_func: 'softmax' }),
  };
}

function deepseekFields(layout: DecoderLayout) {
  const part = layout.layers.map(({ mixer }) => mixer.part).find(isLatent);
  const routed = expertsOf(layout);
  const dense = layout.layers.findIndex(({ feedForward }) => feedForward.part.kind === 'experts');
  if (!part) return {};
  const { latentDim, rotaryDim, plainDim, valueDim, query, rotary } = part;
  const { scaling } = rotary;
  return {
    ...expertFields(layout),
    leading_dense_block_count: u32(dense < 0 ? layout.layers.length : dense),
    'attention.head_count': u32(part.heads),
    'attention.head_count_kv': u32(1),
    'attention.q_lora_rank': u32('direct' in query ? undefined : query.down.outSize),
    'attention.kv_lora_rank': u32(latentDim),
    'attention.key_length': u32(latentDim + rotaryDim),
    'attention.value_length': u32(latentDim),
    'attention.key_length_mla': u32(plainDim + rotaryDim),
    'attention.value_length_mla': u32(valueDim),
    'rope.scaling.yarn_log_multiplier': f32(
      scaling.kind === 'yarn' && scaling.mscaleAllDim ? 0.1 * scaling.mscaleAllDim : undefined,
    ),
    ...(routed && {
      expert_shared_count: u32(routed.shared ? routed.shared.part.down.inSize / routed.down.inSize : 0),
      expert_weights_scale: f32(routed.scale ?? 1),
      expert_weights_norm: ['bool', routed.normalize] as const,
      expert_gating_func: u32(sigmoidScores),
      expert_group_count: u32(routed.groups?.count),
      expert_group_used_count: u32(routed.groups?.chosen),
    }),
  };
}

const isLatent = (part: { readonly kind: string }): part is LatentAttentionLayout => part.kind === 'latent-attention';
