import type { JsonFields } from '../config/json-fields.ts';
import type { AttentionLayout, LayerLayout, LinearLayout, NormLayout } from '../models/decoder/layout.ts';
import type { Family } from './shared/family.ts';
import { readActivation } from './shared/sizes.ts';

/** GPT-2: learned positions, layer norms, biases everywhere. Source: https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf */
export const gpt2: Family = {
  name: 'gpt2',
  architecture: 'GPT2LMHeadModel',
  modelType: 'gpt2',
  tokens: { bosTokenId: 50256, eosTokenId: 50256 },
  read(config) {
    const vocabularySize = config.integer('vocab_size', { min: 1 });
    const hiddenSize = config.integer('n_embd', { min: 1 });
    const layers = config.integer('n_layer', { min: 1, max: 10_000 });
    const maxPositions = config.optionalInteger('n_positions', { min: 1, max: 2 ** 24 }) ?? 1024;
    config.only('n_ctx', [maxPositions], 'as many as n_positions');
    config.only('add_cross_attention', [false], 'models with an encoder are not read');
    // of a head for classification, which is none of language models
    for (const field of ['activation', 'first_dropout', 'proj_to_labels', 'type', 'use_proj'])
      config.value(`summary_${field}`);
    const epsilon = config.optionalNumber('layer_norm_epsilon', { min: 0 }) ?? 1e-5;
    const norm = (site: string): NormLayout => ({ kind: 'layer', site, size: hiddenSize, epsilon, bias: true });
    const layer = readLayer(config, hiddenSize, norm);
    return {
      layout: {
        vocabularySize,
        hiddenSize,
        embedding: { site: 'transformer.wte', positions: { site: 'transformer.wpe', size: maxPositions } },
        layers: Array.from({ length: layers }, (_, i) => layer(i)),
        finalNorm: norm('transformer.ln_f'),
        head: { site: 'lm_head' },
      },
      maxPositions,
      tied: config.boolean('tie_word_embeddings', true),
    };
  },
};

function readLayer(config: JsonFields, E: number, norm: (site: string) => NormLayout): (index: number) => LayerLayout {
  const heads = config.integer('n_head', { min: 1 });
  if (E % heads !== 0) config.fail('n_embd', `a multiple of n_head ${heads}`);
  const headDim = E / heads;
  const F = config.optionalInteger('n_inner', { min: 1 }) ?? 4 * E;
  const activation = readActivation(config, 'activation_function', 'gelu_new');
  const root = config.boolean('scale_attn_weights', true) ? headDim ** -0.5 : 1;
  const byLayer = config.boolean('scale_attn_by_inverse_layer_idx', false);
  config.value('reorder_and_upcast_attn'); // scores are f32 in any case
  return (i) => {
    const name = `transformer.h.${i}`;
    const linear = (site: string, inSize: number, outSize: number): LinearLayout => ({
      site: `${name}.${site}`,
      inSize,
      outSize,
      bias: true,
      transposed: true,
    });
    const attention: AttentionLayout = {
      kind: 'attention',
      heads,
      keyValueHeads: heads,
      headDim,
      projections: { queryKeyValue: linear('attn.c_attn', E, 3 * E) },
      output: linear('attn.c_proj', E, E),
      scale: byLayer ? root / (i + 1) : root,
    };
    const up = linear('mlp.c_fc', E, F);
    return {
      mixer: { part: attention, before: norm(`${name}.ln_1`) },
      feedForward: {
        part: { kind: 'plain', activation, up, down: linear('mlp.c_proj', F, E) },
        before: norm(`${name}.ln_2`),
      },
    };
  };
}
