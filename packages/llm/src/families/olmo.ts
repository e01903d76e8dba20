import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** OLMo 2: norms after each part, and of all heads of queries and keys at once. Source: https://arxiv.org/abs/2501.00656 */
export const olmo2: Family = {
  name: 'olmo2',
  architecture: 'Olmo2ForCausalLM',
  modelType: 'olmo2',
  tokens: { bosTokenId: undefined, eosTokenId: 50279 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 2048, epsilon: 1e-5 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const bias = readBias(config, 'attention_bias');
    const layer = {
      activation: readActivation(config, 'hidden_act', 'silu'),
      norms: 'after',
      headNorms: 'all',
      inputBias: bias,
      outputBias: bias,
      mlpBias: false,
      rotary: rotary.spec,
    } as const;
    return {
      layout: standardLayout(sizes, () => layer),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

/** OLMo 3: three layers with a window to one without, which alone is scaled to longer contexts. Source: https://allenai.org/blog/olmo3 */
export const olmo3: Family = {
  name: 'olmo3',
  architecture: 'Olmo3ForCausalLM',
  modelType: 'olmo3',
  tokens: { bosTokenId: undefined, eosTokenId: 50279 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 2048, epsilon: 1e-5 });
    const head = { ...sizes, theta: 500_000, whole: true };
    const rotary = {
      full_attention: parseRotary(config, { ...head, layerType: 'full_attention' }),
      sliding_attention: parseRotary(config, { ...head, layerType: 'sliding_attention', scaled: false }),
    };
    const types = readLayerTypes(config, sizes.layers, (i) => (i + 1) % 4 !== 0);
    const window = readWindow(config, 4096);
    const activation = readActivation(config, 'hidden_act', 'silu');
    const bias = readBias(config, 'attention_bias');
    return {
      layout: standardLayout(sizes, (i) => ({
        activation,
        norms: 'after',
        headNorms: 'all',
        inputBias: bias,
        outputBias: bias,
        mlpBias: false,
        rotary: rotary[types[i]!].spec,
        window: types[i] === 'sliding_attention' ? window : undefined,
      })),
      maxPositions: rotary.full_attention.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
