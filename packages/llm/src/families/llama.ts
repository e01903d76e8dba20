import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readSizes } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Llama 2 and 3: rotary grouped-query attention, gated SiLU. Source: https://arxiv.org/abs/2302.13971 */
export const llama: Family = {
  name: 'llama',
  architecture: 'LlamaForCausalLM',
  modelType: 'llama',
  tokens: { bosTokenId: 1, eosTokenId: 2 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 2048 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const attentionBias = readBias(config, 'attention_bias');
    const layer = {
      activation: readActivation(config, 'hidden_act', 'silu'),
      inputBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: readBias(config, 'mlp_bias'),
      rotary: rotary.spec,
    };
    return {
      layout: standardLayout(sizes, () => layer),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
