import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { Family, FamilyModel } from './shared/family.ts';
import {
  type LayerType,
  readActivation,
  readLayerTypes,
  readSizes,
  readWindow,
  type SizeDefaults,
} from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

const tokens = { bosTokenId: 1, eosTokenId: 2 };

/** Mistral: a window in every layer, where there is one. Source: https://arxiv.org/abs/2310.06825 */
export const mistral: Family = {
  name: 'mistral',
  architecture: 'MistralForCausalLM',
  modelType: 'mistral',
  tokens,
  read: (config) => read(config, { maxPositions: 131072, keyValueHeads: 8 }, 4096),
};

/** Ministral 8B: layers with the window and without it take turns. */
export const ministral: Family = {
  name: 'ministral',
  architecture: 'MinistralForCausalLM',
  modelType: 'ministral',
  tokens,
  read: (config) =>
    read(config, { maxPositions: 131072, keyValueHeads: 8 }, 4096, (layers, window) =>
      readLayerTypes(config, layers, () => window !== undefined),
    ),
};

/** Ministral 3: YaRN, and queries that grow with the position. */
export const ministral3: Family = {
  name: 'ministral3',
  architecture: 'Ministral3ForCausalLM',
  modelType: 'ministral3',
  tokens,
  read: (config) => read(config, { maxPositions: 262144, keyValueHeads: 8, headDim: 128, epsilon: 1e-5 }, undefined),
};

function read(
  config: JsonFields,
  defaults: SizeDefaults,
  usualWindow: number | undefined,
  typesOf: (layers: number, window: number | undefined) => readonly LayerType[] | undefined = () => undefined,
): FamilyModel {
  const sizes = readSizes(config, defaults);
  const rotary = parseRotary(config, { ...sizes, whole: true });
  const activation = readActivation(config, 'hidden_act', 'silu');
  const window = readWindow(config, usualWindow);
  const types = typesOf(sizes.layers, window);
  const queryGrowth = readQueryGrowth(config);
  return {
    layout: standardLayout(sizes, (i) => ({
      activation,
      inputBias: false,
      outputBias: false,
      mlpBias: false,
      rotary: rotary.spec,
      window: types?.[i] === 'full_attention' ? undefined : window,
      queryGrowth,
    })),
    maxPositions: rotary.maxPositions,
    tied: config.boolean('tie_word_embeddings', false),
  };
}

/** `llama_4_scaling_beta`: queries beyond the positions of the pretraining are larger. */
function readQueryGrowth(config: JsonFields): { readonly beta: number; readonly positions: number } | undefined {
  const fields = config.optionalObject('rope_parameters') ?? config.optionalObject('rope_scaling');
  const beta = fields?.optionalNumber('llama_4_scaling_beta', { min: 0 });
  fields?.value('max_position_embeddings'); // the model's own, once more
  if (!fields || beta === undefined) return undefined;
  return { beta, positions: fields.integer('original_max_position_embeddings', { min: 1 }) };
}
