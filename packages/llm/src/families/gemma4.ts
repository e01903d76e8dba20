import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { AttentionLayout, LayerLayout, LinearLayout, NormLayout } from '../models/decoder/layout.ts';
import { readSoftcap } from './gemma.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayer, standardLayout } from './shared/standard.ts';

/**
 * Gemma 4: wider heads where there is no window, of which a part turns; layers that read the keys and values of others; values that
 * are keys; embeddings of each token for each layer. Source: https://ai.google.dev/gemma/docs/core/model_card_4
 */
export const gemma4: Family = {
  name: 'gemma4',
  architecture: 'Gemma4ForCausalLM',
  modelType: 'gemma4_text',
  tokens: { bosTokenId: 2, eosTokenId: 1 },
  read(config) {
    config.only('use_bidirectional_attention', [false, 'vision'], 'only causal attention is computed');
    config.only('enable_moe_block', [false], 'its mixture of experts is not computed');
    for (const field of ['num_experts', 'top_k_experts', 'moe_intermediate_size']) config.value(field);
    const sizes = readSizes(config, { maxPositions: 131072, keyValueHeads: 4, headDim: 256 });
    const { layers, hiddenSize, epsilon } = sizes;
    const types = [...readLayerTypes(config, layers, (i) => (i + 1) % 6 !== 0)];
    types[layers - 1] = 'full_attention'; // whatever the file says
    const window = readWindow(config, 512);
    const sizesOf = readLayerSizes(config, sizes, types);
    const shared = layers - (config.optionalInteger('num_kv_shared_layers', { min: 0, max: layers - 1 }) ?? 0);
    const keysAreValues = config.boolean('attention_k_eq_v', false);
    const wide = config.boolean('use_double_wide_mlp', false);
    const bias = readBias(config, 'attention_bias');
    const activation = readActivation(config, 'hidden_activation', 'gelu_pytorch_tanh');
    const perLayerSize = config.optionalInteger('hidden_size_per_layer_input', { min: 0 }) ?? 256;
    const perLayerVocabulary = config.optionalInteger('vocab_size_per_layer_input', { min: 1 }) ?? 262144;
    const norm = (site: string, size = hiddenSize): NormLayout => ({ kind: 'rms', site, size, epsilon });
    const linear = (site: string, inSize: number, outSize: number): LinearLayout => ({
      site,
      inSize,
      outSize,
      bias: 'open',
    });

    const layer = (i: number): LayerLayout => {
      const name = `model.layers.${i}`;
      const type = types[i]!;
      const own = sizesOf(i);
      const sharedWith = i >= shared ? types.lastIndexOf(type, shared - 1) : undefined;
      if (sharedWith === -1) config.fail('num_kv_shared_layers', `so few that layers of ${type} are before them`);
      const rotary = parseRotary(config, { ...own, ...rotaryDefaults[type], layerType: type, whole: true });
      const { mixer, feedForward } = standardLayer(
        { ...own, intermediateSize: own.intermediateSize * (wide && sharedWith !== undefined ? 2 : 1) },
        name,
        {
          activation,
          norms: 'around',
          headNorms: 'head',
          inputBias: bias,
          outputBias: bias,
          mlpBias: false,
          rotary: rotary.spec,
          window: type === 'sliding_attention' ? window : undefined,
          scale: 1,
        },
      );
      const attention = withValues(
        mixer.part as AttentionLayout,
        sharedWith,
        keysAreValues && type === 'full_attention',
      );
      return {
        mixer: { ...mixer, part: attention },
        feedForward,
        scalar: `${name}.layer_scalar`,
        ...(perLayerSize > 0 && {
          perLayer: {
            gate: linear(`${name}.per_layer_input_gate`, hiddenSize, perLayerSize),
            activation,
            projection: linear(`${name}.per_layer_projection`, perLayerSize, hiddenSize),
            after: norm(`${name}.post_per_layer_input_norm`),
          },
        }),
      };
    };

    const whole = standardLayout({ ...sizes, layers: 0 }, () => ({ activation }), {
      embeddingMultiplier: Math.sqrt(hiddenSize),
      softcap: readSoftcap(config, 'final_logit_softcapping', undefined),
    });
    return {
      layout: {
        ...whole,
        layers: types.map((_, i) => layer(i)),
        ...(perLayerSize > 0 && {
          perLayerEmbedding: {
            site: 'model.embed_tokens_per_layer',
            vocabularySize: perLayerVocabulary,
            size: perLayerSize,
            multiplier: Math.sqrt(perLayerSize),
            projection: linear('model.per_layer_model_projection', hiddenSize, layers * perLayerSize),
            projectionMultiplier: hiddenSize ** -0.5,
            norm: norm('model.per_layer_projection_norm', perLayerSize),
          },
        }),
      },
      maxPositions: sizes.maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};

const rotaryDefaults = {
  full_attention: { theta: 1_000_000, usual: { kind: 'proportional', share: 0.25, factor: 1 } },
  sliding_attention: { theta: 10_000 },
} as const;

/**
 * Sizes of each layer: what `per_layer_config` says of it, or `global_head_dim` and `num_global_key_value_heads` of those without a
 * window.
 */
function readLayerSizes(
  config: JsonFields,
  sizes: DecoderSizes,
  types: readonly string[],
): (index: number) => DecoderSizes {
  const stated = config.optionalObject('per_layer_config');
  const globalDim = config.optionalInteger('global_head_dim', { min: 2 }) ?? (stated ? undefined : 512);
  const globalHeads = config.optionalInteger('num_global_key_value_heads', { min: 1 });
  const shares = config.boolean('attention_k_eq_v', false);
  return (i) => {
    const own = stated?.optionalObject(String(i));
    const isGlobal = types[i] === 'full_attention';
    return {
      ...sizes,
      headDim: own?.optionalInteger('head_dim', { min: 2 }) ?? (isGlobal ? globalDim : undefined) ?? sizes.headDim,
      keyValueHeads:
        own?.optionalInteger('num_key_value_heads', { min: 1 }) ??
        (isGlobal && shares ? globalHeads : undefined) ??
        sizes.keyValueHeads,
      intermediateSize: own?.optionalInteger('intermediate_size', { min: 1 }) ?? sizes.intermediateSize,
    };
  };
}

/** Attention whose values have a norm without weights, and are those of another layer, or what keys are made of. */
function withValues(attention: AttentionLayout, sharedWith: number | undefined, areKeys: boolean): AttentionLayout {
  const { projections, headNorms, headDim } = attention;
  if (!('query' in projections) || !headNorms) return attention;
  if (sharedWith !== undefined) {
    const { key: _, ...query } = headNorms;
    return { ...attention, sharedWith, projections: { query: projections.query }, headNorms: query };
  }
  const { value, ...others } = projections;
  const valueNorm: NormLayout = { kind: 'rms', size: headDim, epsilon: headNorms.key!.epsilon };
  return {
    ...attention,
    projections: areKeys ? others : projections,
    headNorms: { ...headNorms, value: valueNorm },
  };
}
