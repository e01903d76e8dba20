import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { BranchLayout, FeedForwardLayout, LayerLayout, LinearLayout } from '../models/decoder/layout.ts';
import type { DeltaNetLayout } from '../models/decoder/recurrent-layouts.ts';
import { readDenseLayers, readExperts } from './qwen3-moe.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readActivation, readBias, readSizes } from './shared/sizes.ts';
import { gatedFeedForward, type StandardLayer, standardAttention, standardLayout } from './shared/standard.ts';

/** Qwen 3.5: gated delta nets, and gated attention in every fourth layer. Source: https://qwen.ai/blog?id=qwen3.5 */
export const qwen35: Family = {
  name: 'qwen3_5',
  architecture: 'Qwen3_5ForCausalLM',
  modelType: 'qwen3_5_text',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read: (config) => hybrid(config, 'apart', gatedOf),
};

const gatedOf: FeedForwards = (config, sizes) => {
  const activation = readActivation(config, 'hidden_act', 'silu');
  return (name) => gatedFeedForward(sizes, `${name}.mlp`, { activation, mlpBias: false });
};

/** Qwen3-Next: the same with mixtures of many small experts, and one that every token has. */
export const qwen3Next: Family = {
  name: 'qwen3_next',
  architecture: 'Qwen3NextForCausalLM',
  modelType: 'qwen3_next',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read: (config) => hybrid(config, 'together', mixturesOf),
};

const mixturesOf: FeedForwards = (config, sizes) => {
  const { hiddenSize: E } = sizes;
  const activation = readActivation(config, 'hidden_act', 'silu');
  const usual = { count: 512, perToken: 10, size: 512, normalize: true };
  const experts = readExperts(config, E, activation, usual);
  const isDense = readDenseLayers(config);
  const F = config.optionalInteger('shared_expert_intermediate_size', { min: 1 }) ?? 512;
  return (name, index) => {
    if (isDense(index)) return gatedFeedForward(sizes, `${name}.mlp`, { activation, mlpBias: false });
    const own = { hiddenSize: E, intermediateSize: F };
    return {
      ...experts(`${name}.mlp`),
      shared: {
        part: gatedFeedForward(own, `${name}.mlp.shared_expert`, { activation, mlpBias: false }),
        gate: { site: `${name}.mlp.shared_expert_gate`, inSize: E, outSize: 1, bias: false },
      },
    };
  };
};

/** Reads the feed-forwards of a configuration, by the names and places of their layers. */
type FeedForwards = (config: JsonFields, sizes: DecoderSizes) => (name: string, index: number) => FeedForwardLayout;

/**
 * Layers of gated delta nets and of gated attention.
 * @param joined how the inputs of a delta net are projected: by layers of their own, or by two
 */
function hybrid(
  config: JsonFields,
  joined: 'apart' | 'together',
  feedForwards: FeedForwards,
): ReturnType<Family['read']> {
  const sizes = readSizes(config, { maxPositions: 32768, keyValueHeads: 2, headDim: 256 });
  const rotary = parseRotary(config, { ...sizes, share: 0.25 });
  config.value('partial_rotary_factor'); // where it stands in the rotary fields, too, that one counts
  const bias = readBias(config, 'attention_bias');
  const types = layerTypes(config, sizes.layers);
  const net = readNet(config, sizes, joined);
  const feedForward = feedForwards(config, sizes);
  const standard: StandardLayer = {
    activation: 'silu',
    lessOne: true,
    headNorms: 'head',
    inputBias: bias,
    outputBias: bias,
    rotary: rotary.spec,
  };
  const usual = standardLayout(sizes, () => standard, { lessOne: true });
  const layers = usual.layers.map((layer, index): LayerLayout => {
    const name = `model.layers.${index}`;
    const attention = standardAttention(sizes, `${name}.self_attn`, standard);
    const { query, ...others } = attention.projections as { readonly query: LinearLayout };
    const gated = {
      ...attention,
      gated: true,
      projections: { query: { ...query, outSize: 2 * query.outSize }, ...others },
    };
    const part = types[index] === 'full_attention' ? gated : net(`${name}.linear_attn`);
    const fed: BranchLayout<FeedForwardLayout> = {
      ...layer.feedForward,
      part: feedForward(name, index),
    };
    return { mixer: { ...layer.mixer, part }, feedForward: fed };
  });
  return {
    layout: { ...usual, layers },
    maxPositions: rotary.maxPositions,
    tied: config.boolean('tie_word_embeddings', false),
  };
}

function layerTypes(config: JsonFields, layers: number): readonly string[] {
  const stated = config.optionalChoices('layer_types', ['linear_attention', 'full_attention'], layers);
  const interval = config.optionalInteger('full_attention_interval', { min: 1 }) ?? 4;
  return (
    stated ??
    Array.from({ length: layers }, (_, i) => ((i + 1) % interval === 0 ? 'full_attention' : 'linear_attention'))
  );
}

function readNet(
  config: JsonFields,
  { hiddenSize: E, epsilon }: DecoderSizes,
  joined: 'apart' | 'together',
): (name: string) => DeltaNetLayout {
  const size = (field: string, otherwise: number) => config.optionalInteger(field, { min: 1 }) ?? otherwise;
  const [keyHeads, valueHeads] = [size('linear_num_key_heads', 16), size('linear_num_value_heads', 32)];
  const [keyDim, valueDim] = [size('linear_key_head_dim', 128), size('linear_value_head_dim', 128)];
  const width = size('linear_conv_kernel_dim', 4);
  if (valueHeads % keyHeads !== 0)
    config.fail('linear_num_value_heads', `a multiple of linear_num_key_heads ${keyHeads}`);
  // the convolution and the gate of the norm are activated by it
  if (readActivation(config, 'hidden_act', 'silu') !== 'silu') config.fail('hidden_act', 'silu');
  const [keys, values] = [keyHeads * keyDim, valueHeads * valueDim];
  return (name) => {
    const linear = (site: string, inSize: number, outSize: number): LinearLayout => ({
      site: `${name}.${site}`,
      inSize,
      outSize,
      bias: false,
    });
    return {
      kind: 'delta-net',
      keyHeads,
      valueHeads,
      keyDim,
      valueDim,
      projections:
        joined === 'apart'
          ? {
              qkv: linear('in_proj_qkv', E, 2 * keys + values),
              z: linear('in_proj_z', E, values),
              b: linear('in_proj_b', E, valueHeads),
              a: linear('in_proj_a', E, valueHeads),
            }
          : { qkvz: linear('in_proj_qkvz', E, 2 * keys + 2 * values), ba: linear('in_proj_ba', E, 2 * valueHeads) },
      convolution: { site: `${name}.conv1d`, channels: 2 * keys + values, width, bias: false },
      logRates: `${name}.A_log`,
      biases: `${name}.dt_bias`,
      norm: { kind: 'rms', site: `${name}.norm`, size: valueDim, epsilon },
      output: linear('out_proj', values, E),
    };
  };
}
