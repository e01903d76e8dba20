import type { DecoderLayout } from '../../models/decoder/layout.ts';
import type { GgufField } from '../gguf-field.ts';
import type { Arrangement } from './arrangement.ts';
import type { GgufFamily, GgufKeys } from './gguf-family.ts';
import { attention, multipliers, normsBefore, stateKeys, usual } from './names.ts';
import { expertFields, expertsOf, f32, mixerOf, perLayer, sharedSize, u32 } from './written.ts';

/** Heads of keys and values: none where a layer keeps a state. */
const keyValueHeads = (layout: DecoderLayout): GgufField =>
  perLayer(layout.layers.map(({ mixer: { part } }) => (part.kind === 'attention' ? part.keyValueHeads : 0)));

/** Layers of Mamba-2 and of attention, some with experts. */
export const graniteHybrid: GgufFamily = {
  ...usual,
  architecture: 'GraniteMoeHybridForCausalLM',
  layer: {
    ...normsBefore,
    ...attention,
    'mamba.in_proj': 'ssm_in',
    'mamba.out_proj': 'ssm_out',
    'block_sparse_moe.router.layer': 'ffn_gate_inp',
    'block_sparse_moe.gate_proj': 'ffn_gate_exps',
    'block_sparse_moe.up_proj': 'ffn_up_exps',
    'block_sparse_moe.down_proj': 'ffn_down_exps',
  },
  pairedRows: true,
  arranged({ mixer: { part }, feedForward }) {
    const isShared = feedForward.part.kind === 'experts';
    const end = isShared ? '_shexp.weight' : '.weight';
    const fed = isShared ? feedForward.part.shared!.part : feedForward.part;
    const rows = fed.kind === 'gated' ? fed.down.inSize : 0;
    const own: Record<string, Arrangement> = {
      'shared_mlp.input_linear.weight': { parts: ['ffn_gate', 'ffn_up'].map((name) => ({ name: name + end, rows })) },
      'shared_mlp.output_linear.weight': { parts: [{ name: `ffn_down${end}` }] },
    };
    if (part.kind !== 'mamba2') return own;
    const { heads, headDim, groups, convolution } = part;
    return {
      ...own,
      'mamba.A_log': { parts: [{ name: 'ssm_a' }], values: 'minus-exp', shape: [heads, 1] },
      'mamba.D': { parts: [{ name: 'ssm_d' }], shape: [heads, 1] },
      'mamba.dt_bias': { parts: [{ name: 'ssm_dt.bias' }] },
      'mamba.norm.weight': {
        parts: [{ name: 'ssm_norm.weight' }],
        shape: [groups, (heads * headDim) / groups],
      },
      'mamba.conv1d.weight': {
        parts: [{ name: 'ssm_conv1d.weight' }],
        shape: [convolution.channels, convolution.width],
      },
      'mamba.conv1d.bias': { parts: [{ name: 'ssm_conv1d.bias' }] },
    };
  },
  fields: multipliers,
  keys: [...stateKeys, 'expert_feed_forward_length', 'expert_shared_feed_forward_length'],
  config: graniteConfig,
  written(layout) {
    const part = mixerOf(layout, 'mamba2');
    const mixed = expertsOf(layout);
    const attended = mixerOf(layout, 'attention');
    return {
      ...granite(layout),
      ...expertFields(layout),
      // what stands there is that of the experts, of which the files' readers know no other
      ...(mixed && { feed_forward_length: u32(mixed.down.inSize) }),
      expert_feed_forward_length: undefined,
      expert_shared_feed_forward_length: u32(mixed && sharedSize(mixed)),
      'attention.head_count_kv': keyValueHeads(layout),
      'rope.scaling.finetuned': ['bool', attended?.rotary !== undefined],
      'ssm.conv_kernel': u32(part?.convolution.width),
      'ssm.inner_size': u32(part && part.heads * part.headDim),
      'ssm.state_size': u32(part?.stateSize),
      'ssm.time_step_rank': u32(part?.heads),
      'ssm.group_count': u32(part?.groups),
    };
  },
};

const granite = (layout: DecoderLayout) => ({
  'attention.scale': f32(mixerOf(layout, 'attention')?.scale),
  embedding_scale: f32(layout.embedding.multiplier),
  residual_scale: f32(layout.layers[0]?.mixer.multiplier),
  logit_scale: f32(layout.head.divisor),
});

function graniteConfig(keys: GgufKeys): object {
  const { number, hiddenSize } = keys;
  const heads = keys.perLayer('attention.head_count_kv') ?? [];
  const inner = number('ssm.inner_size') ?? 0;
  const stateHeads = number('ssm.time_step_rank') ?? 1;
  const state = heads.indexOf(0);
  const fed = number('feed_forward_length');
  return {
    layer_types: heads.map((count) => (count === 0 ? 'linear_attention' : 'full_attention')),
    num_key_value_heads: heads.find((count) => count > 0),
    position_embedding_type: keys.flags('rope.scaling.finetuned')?.[0] ? 'rope' : null,
    num_local_experts: number('expert_count') ?? 0,
    num_experts_per_tok: number('expert_used_count') ?? 0,
    shared_intermediate_size: number('expert_count') ? number('expert_shared_feed_forward_length') : fed,
    mamba_n_heads: stateHeads,
    mamba_d_head: inner / stateHeads,
    mamba_expand: inner / hiddenSize,
    mamba_n_groups: number('ssm.group_count'),
    mamba_d_state: number('ssm.state_size'),
    mamba_d_conv: number('ssm.conv_kernel'),
    mamba_conv_bias: keys.hasTensor(`blk.${state}.ssm_conv1d.bias`),
    mamba_proj_bias: keys.hasTensor(`blk.${state}.ssm_in.bias`),
  };
}

/** Short convolutions between layers of attention. */
export const lfm2: GgufFamily = {
  ...usual,
  architecture: 'Lfm2ForCausalLM',
  whole: { 'model.embed_tokens': 'token_embd', 'model.embedding_norm': 'token_embd_norm', lm_head: 'output' },
  layer: {
    operator_norm: 'attn_norm',
    ffn_norm: 'ffn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.out_proj': 'attn_output',
    'self_attn.q_layernorm': 'attn_q_norm',
    'self_attn.k_layernorm': 'attn_k_norm',
    'conv.in_proj': 'shortconv.in_proj',
    'conv.out_proj': 'shortconv.out_proj',
    'feed_forward.w1': 'ffn_gate',
    'feed_forward.w3': 'ffn_up',
    'feed_forward.w2': 'ffn_down',
  },
  arranged({ mixer: { part } }) {
    if (part.kind !== 'short-convolution') return {};
    const { channels, width } = part.convolution;
    return {
      'conv.conv.weight': { parts: [{ name: 'shortconv.conv.weight' }], shape: [channels, width] },
      'conv.conv.bias': { parts: [{ name: 'shortconv.conv.bias' }] },
    };
  },
  fields: { 'shortconv.l_cache': 'conv_L_cache' },
  config(keys) {
    const heads = keys.perLayer('attention.head_count_kv') ?? [];
    return {
      rms_norm_eps: null,
      norm_eps: keys.number('attention.layer_norm_rms_epsilon'),
      layer_types: heads.map((count) => (count === 0 ? 'conv' : 'full_attention')),
      num_key_value_heads: heads.find((count) => count > 0),
      block_auto_adjust_ff_dim: false,
      conv_bias: keys.hasTensor(`blk.${heads.indexOf(0)}.shortconv.conv.bias`),
    };
  },
  written: (layout) => ({
    'attention.head_count_kv': keyValueHeads(layout),
    'shortconv.l_cache': u32(mixerOf(layout, 'short-convolution')?.convolution.width),
  }),
};
