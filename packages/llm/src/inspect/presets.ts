import type { AttentionType } from '@heddle/attention';
import { ArgumentError } from '@heddle/tensor';
import type { BlocksConfig } from '../blocks/block-layout.ts';
import { type TransformerBlock, transformerBlock } from '../blocks/transformer-block.ts';
import { describeConfig } from '../described-config.ts';
import { describeModel } from '../families.ts';
import { sizesOfDescription } from './describe-sizes.ts';
import type { ModelSizes } from './model-sizes.ts';

const block: TransformerBlock = transformerBlock();

/** A decoder of equal blocks. */
function blockModel(
  name: string,
  layers: number,
  config: Omit<BlocksConfig, 'blocks'>,
  attention: AttentionType,
): ModelSizes {
  const blocks = Array.from({ length: layers }, () => ({ ...block, attention }));
  return sizesOfDescription(name, describeConfig({ ...config, blocks }));
}

function llama(name: string, sizes: Readonly<Record<string, number>>): ModelSizes {
  const text = JSON.stringify({ architectures: ['LlamaForCausalLM'], ...sizes });
  return sizesOfDescription(name, describeModel({ label: name, text }));
}

const gpt2Small = { width: 768, heads: 12, feedForwardWidth: 3072, vocabularySize: 50257 };
const llama7b = { width: 4096, heads: 32, feedForwardWidth: 11008, vocabularySize: 32000 };
const llama65b = { width: 8192, heads: 64, feedForwardWidth: 22016, vocabularySize: 32000 };

/** Models that are known by name: as published, and with the attention that a comparison by size gives them. */
const presets: Readonly<Record<string, (name: string) => ModelSizes>> = {
  'gpt2-small': (name) => blockModel(name, 12, { ...gpt2Small, maxPositions: 1024 }, 'mha'),
  'llama-7b': (name) =>
    llama(name, {
      hidden_size: 4096,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      intermediate_size: 11008,
      vocab_size: 32000,
      max_position_embeddings: 2048,
    }),
  'llama-65b': (name) =>
    llama(name, {
      hidden_size: 8192,
      num_hidden_layers: 80,
      num_attention_heads: 64,
      intermediate_size: 22016,
      vocab_size: 32000,
      max_position_embeddings: 2048,
    }),
  'blocks-gpt2-small-mha': (name) => blockModel(name, 12, gpt2Small, 'mha'),
  'blocks-llama-7b-mqa': (name) => blockModel(name, 32, llama7b, 'mqa'),
  'blocks-llama-65b-gqa-8': (name) => blockModel(name, 80, llama65b, 'gqa-8'),
};

/** Names of the models that `inspectModel` knows without a file. */
export const presetNames: readonly string[] = Object.keys(presets);

/** @throws ArgumentError for a name that is none of `presetNames` */
export function presetSizes(name: string): ModelSizes {
  const make = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (!make) throw new ArgumentError(`inspectModel: there is no preset ${name}: ${presetNames.join(', ')}`);
  return make(name);
}
