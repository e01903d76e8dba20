import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { type StandardLayer, standardLayout } from './shared/standard.ts';

const tokens = { bosTokenId: 2, eosTokenId: 1 };

/** Gemma 2: soft caps, norms around each part, every other layer with a window. Source: https://arxiv.org/abs/2408.00118 */
export const gemma2: Family = {
  name: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  modelType: 'gemma2',
  tokens,
  read(config) {
    config.only('use_bidirectional_attention', [false], 'only causal attention is computed');
    const sizes = readSizes(config, { maxPositions: 8192, keyValueHeads: 4, headDim: 256 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const types = readLayerTypes(config, sizes.layers, (i) => i % 2 === 0);
    const window = readWindow(config, 4096);
    const layer = gemmaLayer(config, 50);
    return {
      layout: standardLayout(
        sizes,
        (i) => ({
          ...layer,
          rotary: rotary.spec,
          window: types[i] === 'sliding_attention' ? window : undefined,
        }),
        gemmaEnds(config, sizes, 30),
      ),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};

/** Gemma 3: norms of heads, five layers with a window and a rotary base of their own to one without. Source: https://arxiv.org/abs/2503.19786 */
export const gemma3: Family = {
  name: 'gemma3',
  architecture: 'Gemma3ForCausalLM',
  modelType: 'gemma3_text',
  tokens,
  read(config) {
    const sizes = readSizes(config, { maxPositions: 131072, keyValueHeads: 4, headDim: 256 });
    const head = { ...sizes, whole: true };
    const rotary = {
      full_attention: parseRotary(config, { ...head, theta: 1_000_000, layerType: 'full_attention' }),
      sliding_attention: parseRotary(config, {
        ...head,
        theta: 10_000,
        thetaField: 'rope_local_base_freq',
        layerType: 'sliding_attention',
        scaled: false,
      }),
    };
    const pattern =
      config.optionalInteger('sliding_window_pattern', { min: 1 }) ??
      config.optionalInteger('_sliding_window_pattern', { min: 1 }) ??
      6;
    const types = readLayerTypes(config, sizes.layers, (i) => (i + 1) % pattern !== 0);
    const bidirectional = config.boolean('use_bidirectional_attention', false);
    const given = readWindow(config, 4096);
    // as far to both sides as the given window reaches to one
    const window = bidirectional && given !== undefined ? Math.floor(given / 2) + 1 : given;
    const layer = gemmaLayer(config, undefined);
    return {
      layout: standardLayout(
        sizes,
        (i) => ({
          ...layer,
          bidirectional: bidirectional || undefined,
          headNorms: 'head',
          rotary: rotary[types[i]!].spec,
          window: types[i] === 'sliding_attention' ? window : undefined,
        }),
        gemmaEnds(config, sizes, undefined),
      ),
      maxPositions: rotary.full_attention.maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};

function gemmaLayer(config: JsonFields, usualSoftcap: number | undefined): StandardLayer {
  const bias = readBias(config, 'attention_bias');
  config.value('hidden_act'); // older files have it beside the field that counts
  return {
    activation: readActivation(config, 'hidden_activation', 'gelu_pytorch_tanh'),
    norms: 'around',
    lessOne: true,
    inputBias: bias,
    outputBias: bias,
    softcap: readSoftcap(config, 'attn_logit_softcapping', usualSoftcap),
    scale: (config.optionalNumber('query_pre_attn_scalar', { above: 0 }) ?? 256) ** -0.5,
  };
}

function gemmaEnds(config: JsonFields, { hiddenSize }: DecoderSizes, usualSoftcap: number | undefined) {
  return {
    embeddingMultiplier: Math.sqrt(hiddenSize),
    softcap: readSoftcap(config, 'final_logit_softcapping', usualSoftcap),
    lessOne: true,
  };
}

/** None for `null`. */
export function readSoftcap(config: JsonFields, field: string, otherwise: number | undefined): number | undefined {
  return config.optionalNumber(field, { above: 0 }) ?? (config.isNull(field) ? undefined : otherwise);
}
