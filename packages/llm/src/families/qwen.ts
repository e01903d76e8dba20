import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Qwen 2 and 2.5: biases of queries, keys and values. Source: https://arxiv.org/abs/2407.10671 */
export const qwen2: Family = {
  name: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  modelType: 'qwen2',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 32768, keyValueHeads: 32 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const windowOf = qwenWindows(config, sizes.layers);
    return {
      layout: standardLayout(sizes, (i) => ({
        activation,
        inputBias: true,
        rotary: rotary.spec,
        window: windowOf(i),
      })),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

/** Qwen 3: norms of the heads of queries and keys. Source: https://arxiv.org/abs/2505.09388 */
export const qwen3: Family = {
  name: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  modelType: 'qwen3',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 32768, keyValueHeads: 32, headDim: 128 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const attentionBias = readBias(config, 'attention_bias');
    const windowOf = qwenWindows(config, sizes.layers);
    return {
      layout: standardLayout(sizes, (i) => ({
        activation,
        inputBias: attentionBias,
        outputBias: attentionBias,
        headNorms: 'head',
        rotary: rotary.spec,
        window: windowOf(i),
      })),
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

/** Windows where `use_sliding_window` says so: of the layers from `max_window_layers` on, or of those that `layer_types` names. */
export function qwenWindows(config: JsonFields, layers: number): (index: number) => number | undefined {
  const stated = readWindow(config, 4096);
  const window = config.boolean('use_sliding_window', false) ? stated : undefined;
  const first = config.optionalInteger('max_window_layers', { min: 0 }) ?? 28;
  const types = readLayerTypes(config, layers, (i) => window !== undefined && i >= first);
  return (i) => (types[i] === 'sliding_attention' ? window : undefined);
}
