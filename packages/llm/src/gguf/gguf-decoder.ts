import { FileFormatError } from '@heddle/tensor';
import { type GgufFamily, ggufFamilies } from './gguf-families.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import type { GgufName } from './gguf-weights.ts';

/** A model of a GGUF file, in the words of Hugging Face. */
export interface GgufModel {
  /** What its config.json would say. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Hugging Face's name of each weight, and the file's. */
  readonly names: ReadonlyMap<string, GgufName>;
}

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
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.attn_factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'expert_count',
  'expert_used_count',
  'tensor_data_layout',
];

/** Architectures of GGUF files that are read. */
export const ggufArchitectures: readonly string[] = Object.keys(ggufFamilies);

/**
 * A model of a GGUF file in the words of Hugging Face.
 * @param architecture one of `ggufArchitectures`
 * @throws FileFormatError `ERR_CONFIG` for metadata that is missing, does not fit, or changes results and is not known
 */
export async function ggufDecoder(file: GgufFile, architecture: string): Promise<GgufModel> {
  const metadata = new GgufMetadata(file);
  const key = (name: string) => `${architecture}.${name}`;
  const number = (name: string) => metadata.uniform(key(name));
  const family = ggufFamilies[architecture]!((name) => metadata.has(key(name)) && number(name) !== 0);
  const read = new Set([...known, ...Object.keys(family.fields ?? {})]);
  for (const name of metadata.keys())
    if (name.startsWith(key('')) && !read.has(name.slice(key('').length)))
      metadata.fail(name, `none: what it does to a ${architecture} is not known`);
  const layers = number('block_count') ?? 0;
  // the number may be a lie, and no file has so many
  if (layers > 10_000) throw new FileFormatError(`gguf: ${key('block_count')} is ${layers}`, { code: 'ERR_CONFIG' });
  const heads = number('attention.head_count');
  const hiddenSize = number('embedding_length');
  const headDim = number('attention.key_length') ?? (hiddenSize ?? 0) / (heads || 1);
  if ((number('attention.value_length') ?? headDim) !== headDim)
    metadata.fail(key('attention.value_length'), `${headDim}, as attention.key_length`);
  const turned = number('rope.dimension_count') ?? headDim;
  if (turned !== headDim && !family.rotatesParts)
    metadata.fail(key('rope.dimension_count'), `${headDim}: a ${architecture} rotates whole heads`);
  const positions = number('context_length');
  const stated = Object.entries(family.fields ?? {}).flatMap(([name, field]) =>
    metadata.has(key(name)) ? [[field, number(name)]] : [],
  );
  const usual = {
    num_hidden_layers: layers,
    hidden_size: hiddenSize,
    intermediate_size: number('feed_forward_length'),
    num_attention_heads: heads,
    num_key_value_heads: number('attention.head_count_kv'),
    head_dim: headDim,
    max_position_embeddings: positions,
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: number('rope.freq_base'),
    rope_scaling: await scaling(file, metadata, architecture, positions),
    ...(family.rotatesParts && { partial_rotary_factor: turned / headDim }),
  };
  const config = {
    architectures: [family.architecture],
    vocab_size: file.tensors.get('token_embd.weight')?.shape[0] ?? number('vocab_size'),
    ...(family.config?.({ layers, hiddenSize: hiddenSize ?? 0, heads: heads ?? 1, headDim }, number) ?? {}),
    ...(family.ownNames ? {} : usual),
    ...Object.fromEntries(stated),
    tie_word_embeddings: !file.tensors.has('output.weight'),
    ...specialTokens(metadata),
  };
  return { config, names: ggufWeightNames(family, layers, headDim) };
}

/** What a GGUF file calls each weight of a model, by the name that Hugging Face has for it. */
export function ggufWeightNames(family: GgufFamily, layers: number, headDim: number): Map<string, GgufName> {
  const names = new Map<string, GgufName>();
  const add = (ours: string, theirs: string) => {
    const isNorm = /norm\.weight$/.test(ours);
    const isTurned = family.pairedRows && /\.[qk]_proj\.(?:weight|bias)$/.test(ours);
    names.set(ours, {
      stored: theirs,
      ...(isTurned && { pairedRows: headDim }),
      ...(isNorm && family.normsPlusOne && { plusOne: true }),
    });
  };
  const both = (ours: string, theirs: string) => {
    for (const part of ['weight', 'bias']) add(`${ours}.${part}`, `${theirs}.${part}`);
  };
  for (const [ours, theirs] of Object.entries(family.whole)) both(ours, theirs);
  for (let i = 0; i < layers; i++)
    for (const [ours, theirs] of Object.entries(family.layer))
      both(`${family.prefix}.${i}.${ours}`, `blk.${i}.${theirs}`);
  return names;
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

/** Rotary scaling: by a rule that the metadata names, or by a divisor for each component that stands in a tensor. */
async function scaling(
  file: GgufFile,
  metadata: GgufMetadata,
  architecture: string,
  positions: number | undefined,
): Promise<object | null> {
  const key = (name: string) => `${architecture}.rope.scaling.${name}`;
  const kind = metadata.string(key('type')) ?? (metadata.has(`${architecture}.rope.scale_linear`) ? 'linear' : 'none');
  const factor = metadata.number(key('factor')) ?? metadata.number(`${architecture}.rope.scale_linear`);
  const original = metadata.number(key('original_context_length')) ?? positions;
  const both = await Promise.all(
    ['rope_freqs', 'rope_factors_short', 'rope_factors_long'].map((name) => divisors(file, `${name}.weight`)),
  );
  const [all, short = all, long = all] = both;
  if (short && long) {
    if (all && kind !== 'none') metadata.fail(key('type'), 'none beside rope_freqs.weight');
    const own = { short_factor: short, long_factor: long };
    if (all)
      return {
        rope_type: 'longrope',
        factor: 1,
        attention_factor: 1,
        original_max_position_embeddings: positions,
        ...own,
      };
    const attention = metadata.number(key('attn_factor'));
    return {
      rope_type: 'longrope',
      original_max_position_embeddings: original,
      ...own,
      ...(attention !== undefined && { attention_factor: attention }),
    };
  }
  if (kind === 'none' || kind === '') return null;
  if (kind === 'linear') return { rope_type: 'linear', factor };
  if (kind !== 'yarn') return metadata.fail(key('type'), 'none, linear or yarn');
  const yarn = { rope_type: 'yarn', factor, original_max_position_embeddings: original };
  const attention = metadata.number(key('attn_factor'));
  if (attention === undefined || factor === undefined) return yarn;
  return { ...yarn, attention_factor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) };
}

/** The divisors of a tensor; undefined where the file does not have it. */
async function divisors(file: GgufFile, name: string): Promise<readonly number[] | undefined> {
  const tensor = file.tensors.get(name);
  if (!tensor) return undefined;
  if (tensor.type !== 'F32')
    throw new FileFormatError(`gguf: ${file.label}: ${name} must be F32, got ${tensor.type}`, { code: 'ERR_WEIGHTS' });
  return [...new Float32Array((await file.read(name)).buffer)];
}
