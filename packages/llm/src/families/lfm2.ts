import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { AttentionLayout, LayerLayout, LinearLayout, NormLayout } from '../models/decoder/layout.ts';
import type { ShortConvolutionLayout } from '../models/decoder/recurrent-layouts.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readSizes } from './shared/sizes.ts';
import { standardAttention } from './shared/standard.ts';

/** LFM 2: short convolutions between layers of attention. Source: https://arxiv.org/abs/2511.23404 */
export const lfm2: Family = {
  name: 'lfm2',
  architecture: 'Lfm2ForCausalLM',
  modelType: 'lfm2',
  tokens: { bosTokenId: 1, eosTokenId: 2 },
  read(config) {
    const sizes = {
      ...readSizes(config, { maxPositions: 128000, keyValueHeads: 8 }),
      epsilon: config.optionalNumber('norm_eps', { min: 0 }) ?? 1e-5,
    };
    const rotary = parseRotary(config, { ...sizes, theta: 1e6, whole: true });
    const { hiddenSize: E, epsilon } = sizes;
    const F = feedForwardSize(config, sizes);
    const types = layerTypes(config, sizes.layers);
    const width = config.optionalInteger('conv_L_cache', { min: 1 }) ?? 3;
    const bias = config.boolean('conv_bias', false);
    const layer = (index: number): LayerLayout => {
      const name = `model.layers.${index}`;
      const norm = (site: string, size = E): NormLayout => ({ kind: 'rms', site: `${name}.${site}`, size, epsilon });
      const linear = (site: string, inSize: number, outSize: number, withBias = false): LinearLayout => ({
        site: `${name}.${site}`,
        inSize,
        outSize,
        bias: withBias,
      });
      const usual = standardAttention(sizes, `${name}.self_attn`, { activation: 'silu', inputBias: false });
      const attention: AttentionLayout = {
        ...usual,
        output: linear('self_attn.out_proj', usual.output.inSize, E),
        headNorms: {
          over: 'head',
          query: norm('self_attn.q_layernorm', sizes.headDim),
          key: norm('self_attn.k_layernorm', sizes.headDim),
        },
        rotary: rotary.spec,
      };
      const convolution: ShortConvolutionLayout = {
        kind: 'short-convolution',
        inputs: linear('conv.in_proj', E, 3 * E, bias),
        convolution: { site: `${name}.conv.conv`, channels: E, width, bias },
        output: linear('conv.out_proj', E, E, bias),
      };
      return {
        mixer: { part: types[index] === 'conv' ? convolution : attention, before: norm('operator_norm') },
        feedForward: {
          part: {
            kind: 'gated',
            activation: 'silu',
            projections: { gate: linear('feed_forward.w1', E, F), up: linear('feed_forward.w3', E, F) },
            down: linear('feed_forward.w2', F, E),
          },
          before: norm('ffn_norm'),
        },
      };
    };
    return {
      layout: {
        vocabularySize: sizes.vocabularySize,
        hiddenSize: E,
        embedding: { site: 'model.embed_tokens' },
        layers: Array.from({ length: sizes.layers }, (_, i) => layer(i)),
        finalNorm: { kind: 'rms', site: 'model.embedding_norm', size: E, epsilon },
        head: { site: 'lm_head' },
      },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', config.boolean('tie_embedding', true)),
    };
  },
};

function layerTypes(config: JsonFields, layers: number): readonly string[] {
  const stated = config.optionalChoices('layer_types', ['conv', 'full_attention'], layers);
  if (stated) {
    config.value('full_attn_idxs'); // an older name of the same
    return stated;
  }
  const attention = config.value('full_attn_idxs');
  const all = Array.from({ length: layers }, (_, i) => i);
  const listed = Array.isArray(attention) ? attention : all;
  if (!listed.every((index) => all.includes(index)))
    config.fail('full_attn_idxs', `a list of layers from 0 to ${layers - 1}`);
  return all.map((i) => (listed.includes(i) ? 'full_attention' : 'conv'));
}

/** F: two thirds of what is stated, times a factor, up to a multiple. */
function feedForwardSize(config: JsonFields, { intermediateSize }: DecoderSizes): number {
  const stated = config.optionalInteger('block_ff_dim', { min: 1 }) ?? intermediateSize;
  const isAdjusted = config.boolean('block_auto_adjust_ff_dim', true);
  const factor = config.optionalNumber('block_ffn_dim_multiplier', { above: 0 }) ?? 1;
  const multiple = config.optionalInteger('block_multiple_of', { min: 1 }) ?? 256;
  if (!isAdjusted) return stated;
  return multiple * Math.ceil(Math.trunc(factor * Math.trunc((2 * stated) / 3)) / multiple);
}
