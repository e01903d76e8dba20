import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Phi-3 and Phi-4-mini: fused projections, and a rotary embedding that is another one in long sequences. Source: https://arxiv.org/abs/2404.14219 */
export const phi3: Family = {
  name: 'phi3',
  architecture: 'Phi3ForCausalLM',
  modelType: 'phi3',
  tokens: { bosTokenId: 1, eosTokenId: 32000 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 4096, epsilon: 1e-5 });
    const rotary = parseRotary(config, { ...sizes, longRopeNames: ['su', 'yarn'] });
    const layer = {
      activation: readActivation(config, 'hidden_act', 'silu'),
      fused: true,
      inputBias: false,
      outputBias: false,
      mlpBias: false,
      rotary: rotary.spec,
      window: readWindow(config, undefined),
    };
    return {
      layout: standardLayout(sizes, () => layer),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
