import type { RotarySpec } from '@heddle/attention';
import type { ConfigContext } from './context.ts';
import { type GenerationDefaults, parseGenerationDefaults } from './generation.ts';
import type { JsonFields } from './json-fields.ts';
import { type ParsedRotary, parseRotary } from './rotary.ts';
import { parseSpecialTokens, type SpecialTokens } from './special-tokens.ts';
import { noteUnusedFields } from './unused-fields.ts';

/** More than any model has: a damaged file must not make tables without end. */
const maxMaxPositions = 2 ** 24;
const maxLayers = 10_000;

/** Fields that are read here; `pretraining_tp` is how a sum was split, and does not change it. */
const fieldNames = [
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'max_position_embeddings',
  'original_max_position_embeddings',
  'rms_norm_eps',
  'hidden_act',
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'partial_rotary_factor',
  'attention_bias',
  'mlp_bias',
  'pretraining_tp',
  'quantization_config',
];

/** What transformers' LlamaConfig has where the file has nothing. */
const family = { bosTokenId: 1, eosTokenId: 2 };

/** A Llama model: pre-normalised decoder with rotary grouped-query attention and a gated SiLU feed-forward. */
export interface LlamaConfig extends SpecialTokens {
  readonly architecture: 'llama';
  /** V */
  readonly vocabularySize: number;
  /** E */
  readonly hiddenSize: number;
  /** F */
  readonly intermediateSize: number;
  readonly layers: number;
  /** H, a multiple of K. */
  readonly heads: number;
  /** K */
  readonly keyValueHeads: number;
  /** D, even; H x D need not be E. */
  readonly headDim: number;
  /** Longest sequence, in tokens. With dynamic rotary scaling `factor` times what `max_position_embeddings` says. */
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly activation: 'silu';
  readonly rotary: RotarySpec;
  /** Whether the output projection is the token embedding; a loaded model says what its file settled. */
  readonly tieWordEmbeddings: boolean;
  /** Whether the four attention projections must have biases. */
  readonly attentionBias: boolean;
  /** Whether the three feed-forward projections must have biases. */
  readonly mlpBias: boolean;
  readonly generation: GenerationDefaults;
}

/**
 * Reads the configuration of a Llama model; defaults are those of transformers.
 *
 * @throws FileFormatError `ERR_CONFIG`, naming file, field, what was expected and what came.
 */
export function parseLlamaConfig(config: JsonFields, context: ConfigContext): LlamaConfig {
  const { generation, notes } = context;
  noteUnusedFields(config, 'llama', fieldNames, notes);
  if (config.has('quantization_config')) config.fail('quantization_config', 'none: such weights cannot be read');
  const hiddenSize = config.integer('hidden_size', { min: 1 });
  const heads = config.integer('num_attention_heads', { min: 1 });
  const headDim = parseHeadDim(config, hiddenSize, heads);
  const vocabularySize = config.integer('vocab_size', { min: 1 });
  const rotary = parseWholeHeadRotary(
    config,
    headDim,
    config.optionalInteger('max_position_embeddings', { min: 1, max: maxMaxPositions }) ?? 2048,
  );
  return {
    architecture: 'llama',
    vocabularySize,
    hiddenSize,
    intermediateSize: config.integer('intermediate_size', { min: 1 }),
    layers: config.integer('num_hidden_layers', { min: 1, max: maxLayers }),
    heads,
    keyValueHeads: parseKeyValueHeads(config, heads),
    headDim,
    maxPositions: rotary.maxPositions,
    normEpsilon: config.optionalNumber('rms_norm_eps', { min: 0 }) ?? 1e-6,
    activation: parseActivation(config),
    rotary: rotary.spec,
    tieWordEmbeddings: config.boolean('tie_word_embeddings', false),
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
    ...parseSpecialTokens({ config, generation, tokenizer: context.tokenizer, family, vocabularySize }, notes),
    generation: parseGenerationDefaults(generation, notes),
  };
}

function parseHeadDim(config: JsonFields, hiddenSize: number, heads: number): number {
  const headDim = config.optionalInteger('head_dim', { min: 1 });
  if (headDim === undefined && hiddenSize % heads !== 0) {
    config.fail('hidden_size', `a multiple of num_attention_heads ${heads} where there is no head_dim`);
  }
  const dim = headDim ?? hiddenSize / heads;
  if (dim % 2 !== 0) config.fail('head_dim', 'an even integer, for it is rotated in pairs', dim);
  return dim;
}

function parseKeyValueHeads(config: JsonFields, heads: number): number {
  const keyValueHeads = config.optionalInteger('num_key_value_heads', { min: 1 }) ?? heads;
  if (heads % keyValueHeads !== 0) config.fail('num_key_value_heads', `a divisor of num_attention_heads ${heads}`);
  return keyValueHeads;
}

function parseActivation(config: JsonFields): 'silu' {
  const name = config.optionalString('hidden_act') ?? 'silu';
  // Two names of one function.
  if (name !== 'silu' && name !== 'swish') config.fail('hidden_act', 'silu');
  return 'silu';
}

function parseWholeHeadRotary(config: JsonFields, headDim: number, maxPositions: number): ParsedRotary {
  const rotary = parseRotary(config, headDim, maxPositions);
  const { dim } = rotary.spec;
  if (dim !== headDim) config.fail('partial_rotary_factor', '1: a Llama model rotates whole heads', dim / headDim);
  return rotary;
}
