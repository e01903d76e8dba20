import type { GgufFamily, GgufKeys } from './gguf-family.ts';
import { attention, gated, headNorms, normsAround, usual, window } from './names.ts';
import { f32, mixerOf, perLayer, u32 } from './written.ts';

const softcaps = {
  attn_logit_softcapping: 'attn_logit_softcapping',
  final_logit_softcapping: 'final_logit_softcapping',
};

export const gemma2: GgufFamily = {
  ...usual,
  architecture: 'Gemma2ForCausalLM',
  layer: { ...normsAround, ...attention, ...gated },
  normsPlusOne: /norm\.weight$/,
  fields: { ...window, ...softcaps },
  windowPeriod: 2,
  config: (keys) => ({ query_pre_attn_scalar: scaled(keys, 46) }),
  written: (layout) => ({
    attn_logit_softcapping: f32(mixerOf(layout, 'attention')?.softcap),
    final_logit_softcapping: f32(layout.head.softcap),
  }),
};

export const gemma3: GgufFamily = {
  ...usual,
  architecture: 'Gemma3ForCausalLM',
  layer: { ...normsAround, ...attention, ...headNorms, ...gated },
  normsPlusOne: /norm\.weight$/,
  fields: {
    ...window,
    final_logit_softcapping: 'final_logit_softcapping',
    'rope.freq_base_swa': 'rope_local_base_freq',
  },
  windowPeriod: 6,
  config: (keys) => ({ query_pre_attn_scalar: scaled(keys, 62) }),
  written: (layout) => ({
    final_logit_softcapping: f32(layout.head.softcap),
    'rope.freq_base_swa': f32(windowed(layout)?.rotary?.theta),
  }),
};

/** The largest of the Gemmas, known by its layers, scales by another size than that of its heads. */
function scaled({ layers, hiddenSize, heads, headDim }: GgufKeys, largest: number): number {
  return layers === largest ? hiddenSize / heads : headDim;
}

const attentions = (layout: Parameters<NonNullable<GgufFamily['written']>>[0]) =>
  layout.layers.flatMap(({ mixer: { part } }) => (part.kind === 'attention' ? [part] : []));
const windowed = (layout: Parameters<typeof attentions>[0]) =>
  attentions(layout).find((part) => part.window !== undefined);
const unwindowed = (layout: Parameters<typeof attentions>[0]) =>
  attentions(layout).find((part) => part.window === undefined);

/** Sizes of layers with a window and without it, layers that share keys and values, embeddings for each layer. */
export const gemma4: GgufFamily = {
  ...usual,
  architecture: 'Gemma4ForCausalLM',
  whole: {
    ...usual.whole,
    'model.embed_tokens_per_layer': 'per_layer_token_embd',
    'model.per_layer_model_projection': 'per_layer_model_proj',
    'model.per_layer_projection_norm': 'per_layer_proj_norm',
  },
  layer: {
    ...normsAround,
    ...attention,
    ...headNorms,
    ...gated,
    per_layer_input_gate: 'inp_gate',
    per_layer_projection: 'proj',
    post_per_layer_input_norm: 'post_norm',
  },
  arranged: () => ({ layer_scalar: { parts: [{ name: 'layer_output_scale.weight' }] } }),
  fields: { ...window, final_logit_softcapping: 'final_logit_softcapping' },
  keys: [
    'attention.sliding_window_pattern',
    'attention.shared_kv_layers',
    'attention.key_length_swa',
    'attention.value_length_swa',
    'embedding_length_per_layer_input',
    'rope.freq_base_swa',
    'rope.dimension_count_swa',
  ],
  config: gemma4Config,
  written(layout, config) {
    const [wide, narrow] = [unwindowed(layout), windowed(layout)];
    const parts = attentions(layout);
    return {
      'attention.sliding_window_pattern': ['bools', parts.map((part) => part.window !== undefined)],
      'attention.shared_kv_layers': u32(parts.filter((part) => part.sharedWith !== undefined).length),
      'attention.key_length': u32(wide?.headDim),
      'attention.value_length': u32(wide?.headDim),
      'attention.key_length_swa': u32(narrow?.headDim),
      'attention.value_length_swa': u32(narrow?.headDim),
      'attention.head_count_kv': perLayer(parts.map((part) => part.keyValueHeads)),
      embedding_length_per_layer_input: u32(layout.perLayerEmbedding?.size ?? 0),
      'rope.freq_base': f32(wide?.rotary?.theta),
      'rope.freq_base_swa': f32(narrow?.rotary?.theta),
      'rope.dimension_count': u32(wide?.headDim),
      'rope.dimension_count_swa': u32(narrow?.headDim),
      final_logit_softcapping: f32(layout.head.softcap),
      vocab_size: u32(config.vocabularySize),
    };
  },
  divisors(layout) {
    const rotary = unwindowed(layout)?.rotary;
    if (rotary?.scaling.kind !== 'proportional') return undefined;
    const turning = Math.floor((rotary.scaling.share * rotary.dim) / 2);
    return Array.from({ length: rotary.dim / 2 }, (_, i) => (i < turning ? 1 : standing));
  },
};

/** What files divide the frequency of a pair by that does not turn. */
const standing = 1e30;

function gemma4Config(keys: GgufKeys): object {
  const { layers, divisors } = keys;
  const sliding = keys.flags('attention.sliding_window_pattern') ?? [];
  const [wide, narrow] = [keys.number('attention.key_length'), keys.number('attention.key_length_swa')];
  const heads = keys.perLayer('attention.head_count_kv') ?? [];
  const widths = keys.perLayer('feed_forward_length') ?? [];
  const sharing = keys.number('attention.shared_kv_layers') ?? 0;
  const turning = divisors?.filter((divisor) => divisor === 1).length ?? 0;
  if (divisors?.some((divisor, i) => (i < turning ? divisor !== 1 : divisor < 1e20)))
    keys.fail('rope.dimension_count', 'divisors of frequencies that are 1, then endless');
  const theta = (key: string) => ({ rope_theta: keys.number(key) });
  return {
    layer_types: sliding.map((is) => (is ? 'sliding_attention' : 'full_attention')),
    head_dim: narrow,
    global_head_dim: wide,
    num_key_value_heads: heads[0],
    intermediate_size: widths[0],
    per_layer_config: Object.fromEntries(
      Array.from({ length: layers }, (_, i) => [
        String(i),
        {
          head_dim: sliding[i] ? narrow : wide,
          num_key_value_heads: heads[i],
          intermediate_size: widths[i],
        },
      ]),
    ),
    attention_k_eq_v: sliding.some((is, i) => !is && i < layers - sharing && !keys.hasTensor(`blk.${i}.attn_v.weight`)),
    num_kv_shared_layers: sharing,
    hidden_size_per_layer_input: keys.number('embedding_length_per_layer_input') ?? 0,
    vocab_size_per_layer_input: keys.rows('per_layer_token_embd.weight') ?? null,
    rope_theta: null,
    rope_scaling: null,
    rope_parameters: {
      full_attention: {
        rope_type: 'proportional',
        partial_rotary_factor: divisors ? turning / divisors.length : 1,
        ...theta('rope.freq_base'),
      },
      sliding_attention: { rope_type: 'default', ...theta('rope.freq_base_swa') },
    },
  };
}
