import type { JsonFields } from '../../config/json-fields.ts';
import type { ActivationName } from '../../models/decoder/layout.ts';

/** More than any model has: a damaged file must not make tables without end. */
const maxMaxPositions = 2 ** 24;
const maxLayers = 10_000;

/** What nearly every decoder's configuration says, under the same names. */
export interface DecoderSizes {
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
  readonly maxPositions: number;
  /** Of the norms. */
  readonly epsilon: number;
}

/** What a family has where its configuration has no field. */
export interface SizeDefaults {
  readonly maxPositions: number;
  /** Default 1e-6. */
  readonly epsilon?: number;
  /** By default as many as heads, which `null` is in every family. */
  readonly keyValueHeads?: number;
  /** By default the size of the model over the heads, which `null` is in every family. */
  readonly headDim?: number;
  /** How the family's own files are quantised; by default not at all. */
  readonly quantization?: 'mxfp4';
}

/** Weights in blocks that the files say are read like any others; what else is quantised is not. @throws FileFormatError `ERR_CONFIG` */
function checkQuantization(config: JsonFields, known: string | undefined): void {
  const stated = config.value('quantization_config');
  if (stated === undefined) return;
  const method = (stated as { quant_method?: unknown } | null)?.quant_method;
  if (known === undefined || method !== known)
    config.fail('quantization_config', `${known ?? 'none'}: such weights cannot be read`);
}

/** Reads them. @throws FileFormatError `ERR_CONFIG` */
export function readSizes(config: JsonFields, defaults: SizeDefaults): DecoderSizes {
  checkQuantization(config, defaults.quantization);
  config.only('is_encoder_decoder', [false], 'models with an encoder are not read');
  const hiddenSize = config.integer('hidden_size', { min: 1 });
  const heads = config.integer('num_attention_heads', { min: 1 });
  return {
    vocabularySize: config.integer('vocab_size', { min: 1 }),
    hiddenSize,
    intermediateSize: config.integer('intermediate_size', { min: 1 }),
    layers: config.integer('num_hidden_layers', { min: 1, max: maxLayers }),
    heads,
    keyValueHeads: readKeyValueHeads(config, heads, defaults.keyValueHeads),
    headDim: readHeadDim(config, hiddenSize, heads, defaults.headDim),
    maxPositions:
      config.optionalInteger('max_position_embeddings', { min: 1, max: maxMaxPositions }) ?? defaults.maxPositions,
    epsilon: config.optionalNumber('rms_norm_eps', { min: 0 }) ?? defaults.epsilon ?? 1e-6,
  };
}

function readHeadDim(config: JsonFields, hiddenSize: number, heads: number, otherwise: number | undefined): number {
  const stated = config.optionalInteger('head_dim', { min: 1 });
  const headDim = stated ?? (config.isNull('head_dim') ? undefined : otherwise);
  if (headDim === undefined && hiddenSize % heads !== 0)
    config.fail('hidden_size', `a multiple of num_attention_heads ${heads} where there is no head_dim`);
  const dim = headDim ?? hiddenSize / heads;
  if (dim % 2 !== 0) config.fail('head_dim', 'an even integer, for it is rotated in pairs', dim);
  return dim;
}

function readKeyValueHeads(config: JsonFields, heads: number, otherwise: number | undefined): number {
  const stated = config.optionalInteger('num_key_value_heads', { min: 1 });
  const count = stated ?? (config.isNull('num_key_value_heads') ? undefined : otherwise) ?? heads;
  if (heads % count !== 0) config.fail('num_key_value_heads', `a divisor of num_attention_heads ${heads}`, count);
  return count;
}

/** Names of transformers; several of them are one function. */
const activationNames: Readonly<Record<string, ActivationName>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  relu: 'relu',
};

/** The function of a feed-forward. @throws FileFormatError `ERR_CONFIG` for one that is not here */
export function readActivation(config: JsonFields, field: string, otherwise: string): ActivationName {
  const name = config.optionalString(field) ?? otherwise;
  if (Object.hasOwn(activationNames, name)) return activationNames[name]!;
  return config.fail(field, `one of ${Object.keys(activationNames).join(', ')}`);
}

/** What a field says of a bias; where it is silent, the file's tensors settle it. */
export function readBias(config: JsonFields, field: string): boolean | 'open' {
  return config.value(field) === undefined ? 'open' : config.boolean(field, false);
}

/** What layers attend to. */
export type LayerType = 'full_attention' | 'sliding_attention';

/** The kind of each layer: what `layer_types` says, or by its index. */
export function readLayerTypes(
  config: JsonFields,
  layers: number,
  otherwise: (index: number) => boolean,
): readonly LayerType[] {
  const stated = config.optionalChoices<LayerType>('layer_types', ['full_attention', 'sliding_attention'], layers);
  return stated ?? Array.from({ length: layers }, (_, i) => (otherwise(i) ? 'sliding_attention' : 'full_attention'));
}

/** The window of layers that have one; undefined for `null`. */
export function readWindow(config: JsonFields, otherwise: number | undefined): number | undefined {
  const stated = config.optionalInteger('sliding_window', { min: 1 });
  return stated ?? (config.isNull('sliding_window') ? undefined : otherwise);
}
