import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readSizes } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Granite 3: a Llama with factors on embeddings, scores, residual stream and logits. Source: https://arxiv.org/abs/2408.13359 */
export const granite: Family = {
  name: 'granite',
  architecture: 'GraniteForCausalLM',
  modelType: 'granite',
  tokens: { bosTokenId: 1, eosTokenId: 2 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 2048 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const factor = (name: string) => config.optionalNumber(name, { above: 0 }) ?? 1;
    const attentionBias = readBias(config, 'attention_bias');
    const layer = {
      activation: readActivation(config, 'hidden_act', 'silu'),
      inputBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: readBias(config, 'mlp_bias'),
      rotary: rotary.spec,
      scale: factor('attention_multiplier'),
      multiplier: factor('residual_multiplier'),
    };
    return {
      layout: standardLayout(sizes, () => layer, {
        embeddingMultiplier: factor('embedding_multiplier'),
        divisor: factor('logits_scaling'),
      }),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
