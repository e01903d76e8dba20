import { parseRotary } from '../config/rotary.ts';
import type { LayerLayout, NormLayout } from '../models/decoder/layout.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readSizes } from './shared/sizes.ts';
import { gatedFeedForward, standardAttention, standardLayout } from './shared/standard.ts';

/** GLM-4: norms around each part; halves of heads are rotated, neighbours by pairs. Source: https://arxiv.org/abs/2406.12793 */
export const glm4: Family = {
  name: 'glm4',
  architecture: 'Glm4ForCausalLM',
  modelType: 'glm4',
  tokens: { bosTokenId: undefined, eosTokenId: [151329, 151336, 151338] },
  read(config) {
    const usual = { maxPositions: 131072, keyValueHeads: 2, headDim: 128, epsilon: 1.5625e-7 };
    const sizes = readSizes(config, usual);
    const rotary = parseRotary(config, { ...sizes, share: 0.5 });
    const layer = {
      activation: readActivation(config, 'hidden_act', 'silu'),
      inputBias: config.boolean('attention_bias', true),
      outputBias: false,
      mlpBias: false,
      rotary: rotary.spec,
      interleaved: true,
    } as const;
    const { hiddenSize: size, epsilon } = sizes;
    const layerOf = (i: number): LayerLayout => {
      const name = `model.layers.${i}`;
      const norm = (site: string): NormLayout => ({ kind: 'rms', site: `${name}.${site}`, size, epsilon });
      return {
        mixer: {
          part: standardAttention(sizes, `${name}.self_attn`, layer),
          before: norm('input_layernorm'),
          after: norm('post_self_attn_layernorm'),
        },
        feedForward: {
          part: gatedFeedForward(sizes, `${name}.mlp`, { ...layer, fused: true }),
          before: norm('post_attention_layernorm'),
          after: norm('post_mlp_layernorm'),
        },
      };
    };
    const layout = standardLayout(sizes, () => layer);
    return {
      layout: { ...layout, layers: layout.layers.map((_, i) => layerOf(i)) },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
