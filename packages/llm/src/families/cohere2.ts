import { parseRotary } from '../config/rotary.ts';
import type { LayerLayout, NormLayout } from '../models/decoder/layout.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { gatedFeedForward, standardAttention, standardLayout } from './shared/standard.ts';

/**
 * Cohere 2, Command R7B: attention and feed-forward take the same norm of what comes in; three layers with a window, which alone are
 * rotated, to one without. Source: https://arxiv.org/abs/2504.00698
 */
export const cohere2: Family = {
  name: 'cohere2',
  architecture: 'Cohere2ForCausalLM',
  modelType: 'cohere2',
  tokens: { bosTokenId: 5, eosTokenId: 255001 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 8192 });
    const { hiddenSize, heads, headDim, layers } = sizes;
    if (headDim * heads !== hiddenSize) config.fail('head_dim', `hidden_size over num_attention_heads ${heads}`);
    const epsilon = config.optionalNumber('layer_norm_eps', { min: 0 }) ?? 1e-5;
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const every = config.optionalInteger('sliding_window_pattern', { min: 1 }) ?? 4;
    const types = readLayerTypes(config, layers, (i) => (i + 1) % every !== 0);
    const window = readWindow(config, 4096);
    const bias = readBias(config, 'attention_bias');
    const activation = readActivation(config, 'hidden_act', 'silu');
    const norm = (site: string): NormLayout => ({ kind: 'layer', site, size: hiddenSize, epsilon });
    const layerOf = (i: number): LayerLayout => {
      const name = `model.layers.${i}`;
      const before = norm(`${name}.input_layernorm`);
      const isWindowed = types[i] === 'sliding_attention' && window !== undefined;
      const attention = { activation, inputBias: bias, outputBias: bias };
      const placed = isWindowed && { window, rotary: rotary.spec, interleaved: true };
      return {
        mixer: { part: standardAttention(sizes, `${name}.self_attn`, { ...attention, ...placed }), before },
        feedForward: { part: gatedFeedForward(sizes, `${name}.mlp`, { activation, mlpBias: false }), before },
        parallel: true,
      };
    };
    const divisor = 1 / (config.optionalNumber('logit_scale', { above: 0 }) ?? 0.0625);
    return {
      layout: {
        ...standardLayout(sizes, () => ({ activation }), { divisor }),
        layers: Array.from({ length: layers }, (_, i) => layerOf(i)),
        finalNorm: norm('model.norm'),
      },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};
