import type { DecoderLayout, LayerLayout } from '../../models/decoder/layout.ts';
import type { DeltaNetLayout } from '../../models/decoder/recurrent-layouts.ts';
import type { GgufField } from '../gguf-field.ts';
import { type Arrangement, inputsByHead, type Order, turnsAsGroups } from './arrangement.ts';
import type { GgufFamily, GgufKeys } from './gguf-family.ts';
import { denseLayers } from './mixtures.ts';
import { attention, experts, gated, headNorms, sharedExpert, stateKeys, usual } from './names.ts';
import { expertFields, expertsOf, mixerOf, sharedSize, u32 } from './written.ts';

const oneMore = /(?:layernorm|[qk]_norm|model\.norm)\.weight$/;

/** Gated delta nets and gated attention. */
export const qwen35: GgufFamily = {
  ...usual,
  architecture: 'Qwen3_5ForCausalLM',
  layer: {
    input_layernorm: 'attn_norm',
    post_attention_layernorm: 'post_attention_norm',
    ...attention,
    ...headNorms,
    ...gated,
  },
  normsPlusOne: oneMore,
  arranged({ mixer: { part } }) {
    if (part.kind !== 'delta-net') return {};
    const { keyHeads, valueHeads, keyDim, valueDim } = part;
    const turned = (size: number, before = 0) =>
      keyHeads === valueHeads ? undefined : () => turnsAsGroups(keyHeads, valueHeads, size, before);
    const ofKeys = 2 * keyHeads * keyDim;
    const net = (name: string, rows?: Order): Arrangement => ({
      parts: [{ name }],
      ...(rows && { rows }),
    });
    const own = netArrangement(part);
    const columns = turned(valueDim);
    return {
      'linear_attn.in_proj_qkv.weight': net('attn_qkv.weight', turned(valueDim, ofKeys)),
      'linear_attn.in_proj_z.weight': net('attn_gate.weight', turned(valueDim)),
      'linear_attn.in_proj_b.weight': net('ssm_beta.weight', turned(1)),
      'linear_attn.in_proj_a.weight': net('ssm_alpha.weight', turned(1)),
      'linear_attn.A_log': { ...own['linear_attn.A_log']!, ...net('ssm_a', turned(1)) },
      'linear_attn.dt_bias': net('ssm_dt.bias', turned(1)),
      'linear_attn.conv1d.weight': {
        ...own['linear_attn.conv1d.weight']!,
        ...net('ssm_conv1d.weight', turned(valueDim, ofKeys)),
      },
      'linear_attn.norm.weight': net('ssm_norm.weight'),
      'linear_attn.out_proj.weight': { parts: [{ name: 'ssm_out.weight' }], ...(columns && { columns }) },
    };
  },
  keys: [...stateKeys, 'full_attention_interval', 'attention.recurrent_layers', 'rope.dimension_sections'],
  rotatesParts: true,
  config: hybridConfig,
  written: hybridFields,
};

/** The same with mixtures of many small experts. */
export const qwen3next: GgufFamily = {
  ...qwen35,
  architecture: 'Qwen3NextForCausalLM',
  layer: {
    input_layernorm: 'attn_norm',
    post_attention_layernorm: 'post_attention_norm',
    ...attention,
    ...headNorms,
    ...gated,
    ...experts('mlp', 'gate'),
    ...sharedExpert('mlp.shared_expert'),
    'linear_attn.in_proj_ba': 'ssm_ba',
    'linear_attn.out_proj': 'ssm_out',
  },
  arranged(layer) {
    const shared: Readonly<Record<string, Arrangement>> = sharedGate(layer);
    const { part } = layer.mixer;
    if (part.kind !== 'delta-net') return shared;
    const { keyHeads, valueHeads, keyDim, valueDim } = part;
    const values = (valueHeads / keyHeads) * valueDim;
    return {
      ...shared,
      ...netArrangement(part),
      'linear_attn.in_proj_qkvz.weight': {
        parts: [
          { name: 'attn_qkv.weight', rows: keyHeads * (2 * keyDim + values) },
          { name: 'attn_gate.weight', rows: keyHeads * values },
        ],
        rows: () => inputsByHead(keyHeads, [keyDim, keyDim, values, values]),
        older: 'ssm_in.weight',
      },
    };
  },
  fields: {
    expert_count: 'num_experts',
    expert_used_count: 'num_experts_per_tok',
    expert_feed_forward_length: 'moe_intermediate_size',
    expert_shared_feed_forward_length: 'shared_expert_intermediate_size',
  },
  config: (keys) => ({ ...hybridConfig(keys), norm_topk_prob: true, mlp_only_layers: denseLayers(keys) }),
  written(layout) {
    const mixed = expertsOf(layout);
    return {
      ...hybridFields(layout),
      ...expertFields(layout),
      expert_shared_feed_forward_length: u32(mixed && sharedSize(mixed)),
    };
  },
};

function netArrangement({ convolution }: DeltaNetLayout): Readonly<Record<string, Arrangement>> {
  const { channels, width } = convolution;
  return {
    'linear_attn.A_log': { parts: [{ name: 'ssm_a' }], values: 'minus-exp' },
    'linear_attn.dt_bias': { parts: [{ name: 'ssm_dt.bias' }] },
    'linear_attn.conv1d.weight': { parts: [{ name: 'ssm_conv1d.weight' }], shape: [channels, width] },
    'linear_attn.norm.weight': { parts: [{ name: 'ssm_norm.weight' }] },
  };
}

/** Files may have the one row of a gate as a vector. */
function sharedGate({ feedForward: { part } }: LayerLayout): Readonly<Record<string, Arrangement>> {
  if (part.kind !== 'experts') return {};
  const parts = [{ name: 'ffn_gate_inp_shexp.weight' }];
  return { 'mlp.shared_expert_gate.weight': { parts, shape: [part.router.inSize] } };
}

function hybridConfig(keys: GgufKeys): object {
  const { number, layers } = keys;
  const interval = number('full_attention_interval') ?? 4;
  const states = keys.flags('attention.recurrent_layers');
  const valueHeads = number('ssm.time_step_rank') ?? 1;
  return {
    layer_types: Array.from({ length: layers }, (_, i) =>
      (states ? states[i] : (i + 1) % interval !== 0) ? 'linear_attention' : 'full_attention',
    ),
    linear_conv_kernel_dim: number('ssm.conv_kernel'),
    linear_key_head_dim: number('ssm.state_size'),
    linear_num_key_heads: number('ssm.group_count'),
    linear_num_value_heads: valueHeads,
    linear_value_head_dim: (number('ssm.inner_size') ?? 0) / valueHeads,
  };
}

function hybridFields(layout: DecoderLayout): Readonly<Record<string, GgufField | undefined>> {
  const part = mixerOf(layout, 'delta-net');
  const rotated = mixerOf(layout, 'attention')?.rotary?.dim ?? 0;
  const states = layout.layers.map(({ mixer }) => mixer.part.kind === 'delta-net');
  const interval = states.indexOf(false) + 1;
  const isRegular = states.every((is, i) => is === ((i + 1) % interval !== 0));
  return {
    'attention.head_count_kv': u32(mixerOf(layout, 'attention')?.keyValueHeads),
    'ssm.conv_kernel': u32(part?.convolution.width),
    'ssm.state_size': u32(part?.keyDim),
    'ssm.group_count': u32(part?.keyHeads),
    'ssm.time_step_rank': u32(part?.valueHeads),
    'ssm.inner_size': u32(part && part.valueHeads * part.valueDim),
    ...(isRegular
      ? { full_attention_interval: u32(interval) }
      : { 'attention.recurrent_layers': ['bools', states] as const }),
    // of places in images, which for text are one
    'rope.dimension_sections': ['i32s', sections(rotated / 2)],
  };
}

/** Three parts of the pairs that turn, and none. */
function sections(pairs: number): readonly number[] {
  const third = Math.ceil(pairs / 3);
  return [third, Math.min(third, pairs - third), Math.max(0, pairs - 2 * third), 0];
}
