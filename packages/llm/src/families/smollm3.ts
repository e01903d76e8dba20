import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** SmolLM3: every fourth layer is not rotated. Source: https://huggingface.co/blog/smollm3 */
export const smollm3: Family = {
  name: 'smollm3',
  architecture: 'SmolLM3ForCausalLM',
  modelType: 'smollm3',
  tokens: { bosTokenId: 128000, eosTokenId: 128001 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 32768, keyValueHeads: 4 });
    const rotary = parseRotary(config, { ...sizes, theta: 2_000_000, whole: true });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const attentionBias = readBias(config, 'attention_bias');
    const mlpBias = readBias(config, 'mlp_bias');
    const interval = config.optionalInteger('no_rope_layer_interval', { min: 1 }) ?? 4;
    const rotated =
      config.optionalChoices('no_rope_layers', [0, 1], sizes.layers)?.map((one) => one === 1) ??
      Array.from({ length: sizes.layers }, (_, i) => (i + 1) % interval !== 0);
    const stated = readWindow(config, undefined);
    const window = config.boolean('use_sliding_window', false) ? stated : undefined;
    const types = readLayerTypes(config, sizes.layers, (i) => window !== undefined && !rotated[i]);
    config.value('max_window_layers'); // transformers writes it and does not look at it
    return {
      layout: standardLayout(sizes, (i) => ({
        activation,
        inputBias: attentionBias,
        outputBias: attentionBias,
        mlpBias,
        rotary: rotated[i] ? rotary.spec : undefined,
        window: types[i] === 'sliding_attention' ? window : undefined,
      })),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};
