import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { LatentAttentionLayout } from '../models/decoder/latent-layout.ts';
import type { ActivationName, ExpertsLayout, LayerLayout, LinearLayout, NormLayout } from '../models/decoder/layout.ts';
import { expertMatrix } from './shared/expert-matrix.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readActivation, readBias, readSizes } from './shared/sizes.ts';
import { gatedFeedForward, standardLayout } from './shared/standard.ts';

/** DeepSeek V3: latent attention, and experts in groups with shared ones beside them. Source: https://arxiv.org/abs/2412.19437 */
export const deepseekV3: Family = {
  name: 'deepseek_v3',
  architecture: 'DeepseekV3ForCausalLM',
  modelType: 'deepseek_v3',
  tokens: { bosTokenId: 0, eosTokenId: 1 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 4096 });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const { part: attention, maxPositions } = readAttention(config, sizes);
    const experts = readExperts(config, sizes, activation);
    const dense = config.optionalInteger('first_k_dense_replace', { min: 0 }) ?? 3;
    // heads for prediction of further tokens, parallelism, and what is of training
    for (const field of ['num_nextn_predict_layers', 'pretraining_tp', 'ep_size', 'aux_loss_alpha', 'seq_aux'])
      config.value(field);
    const usual = standardLayout(sizes, () => ({ activation, mlpBias: false }));
    const layers = usual.layers.map((layer, index): LayerLayout => {
      const name = `model.layers.${index}`;
      return {
        mixer: { ...layer.mixer, part: attention(`${name}.self_attn`) },
        feedForward: index < dense ? layer.feedForward : { ...layer.feedForward, part: experts(`${name}.mlp`) },
      };
    });
    return { layout: { ...usual, layers }, maxPositions, tied: config.boolean('tie_word_embeddings', false) };
  },
};

function readAttention(config: JsonFields, sizes: DecoderSizes) {
  const { hiddenSize: E, heads } = sizes;
  const size = (field: string, otherwise: number) => config.optionalInteger(field, { min: 1 }) ?? otherwise;
  const [latentDim, plainDim] = [size('kv_lora_rank', 512), size('qk_nope_head_dim', 128)];
  const [rotaryDim, valueDim] = [size('qk_rope_head_dim', 64), size('v_head_dim', 128)];
  const queryRank = config.isNull('q_lora_rank') ? undefined : size('q_lora_rank', 1536);
  const headDim = plainDim + rotaryDim;
  // sizes that follow from these
  for (const field of ['head_dim', 'qk_head_dim', 'num_key_value_heads']) config.value(field);
  const rotary = parseRotary(config, { ...sizes, headDim: rotaryDim, whole: true });
  const bias = readBias(config, 'attention_bias');
  const interleaved = config.boolean('rope_interleave', true);
  const { scaling } = rotary.spec;
  const growth =
    scaling.kind === 'yarn' && scaling.mscaleAllDim && scaling.factor > 1
      ? 0.1 * scaling.mscaleAllDim * Math.log(scaling.factor) + 1
      : 1;
  const scale = growth ** 2 / Math.sqrt(headDim);
  const part = (name: string): LatentAttentionLayout => {
    const linear = (site: string, inSize: number, outSize: number, withBias: LinearLayout['bias']): LinearLayout => ({
      site: `${name}.${site}`,
      inSize,
      outSize,
      bias: withBias,
    });
    // their epsilon is not that of the configuration
    const norm = (site: string, width: number): NormLayout => ({
      kind: 'rms',
      site: `${name}.${site}`,
      size: width,
      epsilon: 1e-6,
    });
    return {
      kind: 'latent-attention',
      heads,
      latentDim,
      plainDim,
      rotaryDim,
      valueDim,
      query:
        queryRank === undefined
          ? { direct: linear('q_proj', E, heads * headDim, false) }
          : {
              down: linear('q_a_proj', E, queryRank, bias),
              norm: norm('q_a_layernorm', queryRank),
              up: linear('q_b_proj', queryRank, heads * headDim, false),
            },
      down: linear('kv_a_proj_with_mqa', E, latentDim + rotaryDim, bias),
      norm: norm('kv_a_layernorm', latentDim),
      up: linear('kv_b_proj', latentDim, heads * (plainDim + valueDim), false),
      output: linear('o_proj', heads * valueDim, E, bias),
      rotary: rotary.spec,
      interleaved,
      scale,
    };
  };
  return { part, maxPositions: rotary.maxPositions };
}

function readExperts(
  config: JsonFields,
  { hiddenSize: E }: DecoderSizes,
  activation: ActivationName,
): (name: string) => ExpertsLayout {
  const size = (field: string, otherwise: number, max?: number) =>
    config.optionalInteger(field, { min: 1, ...(max !== undefined && { max }) }) ?? otherwise;
  const count = size('n_routed_experts', config.optionalInteger('num_local_experts', { min: 1 }) ?? 256);
  const perToken = size('num_experts_per_tok', 8, count);
  const F = size('moe_intermediate_size', 2048);
  const sharedCount = config.optionalInteger('n_shared_experts', { min: 0 }) ?? 1;
  const groups = size('n_group', 8);
  if (count % groups !== 0) config.fail('n_group', `a divisor of the ${count} experts`, groups);
  const chosen = size('topk_group', 4, groups);
  if ((chosen * count) / groups < perToken)
    config.fail('topk_group', `so many groups that ${perToken} experts are among theirs`, chosen);
  config.only('scoring_func', [undefined, 'sigmoid'], 'other scores are not computed');
  config.only('topk_method', [undefined, 'noaux_tc'], 'other choices are not computed');
  config.only('moe_layer_freq', [undefined, 1], 'all layers after the first dense ones have experts');
  const normalize = config.boolean('norm_topk_prob', true);
  const scale = config.optionalNumber('routed_scaling_factor', { above: 0 }) ?? 2.5;
  return (name) => {
    const matrix = (purpose: string, inSize: number, outSize: number) =>
      expertMatrix(name, count, purpose, [inSize, outSize]);
    return {
      kind: 'experts',
      router: { site: `${name}.gate`, inSize: E, outSize: count, bias: false },
      count,
      perToken,
      normalize,
      scores: 'sigmoid',
      correction: `${name}.gate.e_score_correction_bias`,
      groups: { count: groups, chosen },
      scale,
      activation,
      gate: matrix('gate_proj', E, F),
      up: matrix('up_proj', E, F),
      down: matrix('down_proj', F, E),
      ...(sharedCount > 0 && {
        shared: {
          part: gatedFeedForward({ hiddenSize: E, intermediateSize: F * sharedCount }, `${name}.shared_experts`, {
            activation,
            mlpBias: false,
          }),
        },
      }),
    };
  };
}
