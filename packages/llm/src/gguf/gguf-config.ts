import { FileFormatError } from '@heddle/tensor';
import type { GgufFamily, GgufKeys } from './families/gguf-family.ts';
import { ggufFamilies } from './gguf-families.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { frequencyDivisors, rotaryScaling } from './gguf-rotary.ts';

/** A model of a GGUF file, in the words of Hugging Face. */
export interface GgufConfig {
  readonly family: GgufFamily;
  /** What its config.json would say. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What is read of a file for it. */
export type GgufDescription = Pick<GgufFile, 'label' | 'metadata' | 'tensors' | 'read'>;

/** Keys of every architecture that are read, or do nothing to what is computed here. */
const known = [
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'vocab_size',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'attention.sliding_window_pattern',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.attn_factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'rope.scaling.yarn_beta_fast',
  'rope.scaling.yarn_beta_slow',
  'rope.scaling.yarn_log_multiplier',
  'expert_count',
  'expert_used_count',
  'nextn_predict_layers',
  'tensor_data_layout',
];

/** No file has so many. */
const maxLayers = 10_000;

/**
 * What a GGUF file says of its model, in the words of Hugging Face.
 * @param architecture one of `ggufArchitectures`
 * @throws FileFormatError `ERR_CONFIG` for metadata that is missing, does not fit, or changes results and is not known
 */
export async function ggufConfig(file: GgufDescription, architecture: string): Promise<GgufConfig> {
  const metadata = new GgufMetadata(file);
  const key = (name: string) => `${architecture}.${name}`;
  const number = (name: string) => metadata.uniform(key(name));
  const isSet = (name: string) => {
    const value = metadata.value(key(name));
    return value !== undefined && value !== 0;
  };
  const family = ggufFamilies[architecture]!(isSet);
  const read = new Set([...known, ...Object.keys(family.fields ?? {}), ...(family.keys ?? [])]);
  for (const name of metadata.keys())
    if (name.startsWith(key('')) && !read.has(name.slice(key('').length)))
      metadata.fail(name, `none: what it does to a ${architecture} is not known`);
  // layers that predict further tokens come last, and are not computed
  const layers = (number('block_count') ?? 0) - (number('nextn_predict_layers') ?? 0);
  // the number may be a lie
  if (layers > maxLayers) throw new FileFormatError(`gguf: ${key('block_count')} is ${layers}`, { code: 'ERR_CONFIG' });
  const heads = number('attention.head_count');
  const hiddenSize = number('embedding_length');
  const headDim = number('attention.key_length') ?? (hiddenSize ?? 0) / (heads || 1);
  const keys: GgufKeys = {
    layers,
    hiddenSize: hiddenSize ?? 0,
    heads: heads ?? 1,
    headDim,
    has: (name) => metadata.has(key(name)),
    isList: (name) => Array.isArray(metadata.value(key(name))),
    number,
    perLayer: (name) => metadata.perLayer(key(name), layers),
    flags: (name) => metadata.flags(key(name), layers),
    hasTensor: (name) => file.tensors.has(name),
    rows: (name) => file.tensors.get(name)?.shape[0],
    divisors: await frequencyDivisors(file, 'rope_freqs.weight'),
    fail: (name, expected) => metadata.fail(key(name), expected),
  };
  const hasOwnHeads = family.keys?.includes('attention.key_length_mla') ?? false;
  if (!hasOwnHeads && (number('attention.value_length') ?? headDim) !== headDim)
    metadata.fail(key('attention.value_length'), `${headDim}, as attention.key_length`);
  const turned = number('rope.dimension_count') ?? headDim;
  if (turned !== headDim && !family.rotatesParts)
    metadata.fail(key('rope.dimension_count'), `${headDim}: a ${architecture} rotates whole heads`);
  const own = family.config?.(keys) ?? {};
  const usual = {
    num_hidden_layers: layers,
    hidden_size: hiddenSize,
    num_attention_heads: heads,
    head_dim: headDim,
    max_position_embeddings: number('context_length'),
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: number('rope.freq_base'),
    ...(family.rotatesParts && { partial_rotary_factor: turned / headDim }),
    ...layerTypes(keys, family),
    // families that have one for each layer read them themselves
    ...unless(own, 'num_key_value_heads', () => number('attention.head_count_kv')),
    ...unless(own, 'intermediate_size', () => number('feed_forward_length')),
  };
  const scaling = 'rope_scaling' in own ? null : await rotaryScaling(file, metadata, architecture, keys);
  const stated = Object.entries(family.fields ?? {}).flatMap(([name, field]) =>
    metadata.has(key(name)) ? [[field, number(name)]] : [],
  );
  const config = {
    architectures: [family.architecture],
    vocab_size: file.tensors.get('token_embd.weight')?.shape[0] ?? number('vocab_size'),
    ...(family.ownNames ? {} : { ...usual, rope_scaling: scaling && { ...scaling, ...family.scaling?.(keys) } }),
    ...Object.fromEntries(stated),
    ...own,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    ...specialTokens(metadata),
  };
  return { family, config };
}

const unless = (own: object, field: string, value: () => unknown): object => (field in own ? {} : { [field]: value() });

/** Which layers have a window, where the file says so: for each of them, or that one in so many has none. */
function layerTypes(keys: GgufKeys, { windowPeriod }: GgufFamily): object {
  const name = 'attention.sliding_window_pattern';
  if (windowPeriod === undefined || !keys.has(name)) return {};
  const period = keys.isList(name) ? undefined : keys.number(name);
  const flags = period === undefined ? keys.flags(name)! : undefined;
  return {
    layer_types: Array.from({ length: keys.layers }, (_, i) =>
      (flags ? flags[i] : (i + 1) % period! !== 0) ? 'sliding_attention' : 'full_attention',
    ),
  };
}

/** Tokens that the file names; what it does not name is asked of the tokenizer. */
function specialTokens(metadata: GgufMetadata): Record<string, unknown> {
  const id = (name: string) => metadata.number(`tokenizer.ggml.${name}_token_id`);
  const ends = [id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined);
  return {
    ...(id('bos') !== undefined && { bos_token_id: id('bos') }),
    ...(ends.length > 0 && { eos_token_id: [...new Set(ends)] }),
    ...(id('padding') !== undefined && { pad_token_id: id('padding') }),
  };
}
