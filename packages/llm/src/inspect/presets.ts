import { ArgumentError } from '@heddle/tensor';
import { describeModel } from '../families.ts';
import { sizesOfDescription } from './describe-sizes.ts';
import type { ModelSizes } from './model-sizes.ts';

/** What a model of the article's kind is described by. */
interface BlockModel {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly positions: number;
}

/**
 * A decoder with learned positions, layer norms and a feed-forward of two layers, all with biases, and a head that is the
 * embedding, as GPT-2 is: keys and values of any number of heads.
 */
function blockModel(name: string, model: BlockModel): ModelSizes {
  const { width, layers, heads, keyValueHeads, feedForward, vocabulary, positions } = model;
  const headDim = width / heads;
  const shapes = new Map<string, readonly number[]>([
    ['wte.weight', [vocabulary, width]],
    ['wpe.weight', [positions, width]],
  ]);
  const linear = (site: string, out: number, size: number) => {
    shapes.set(`${site}.weight`, [out, size]);
    shapes.set(`${site}.bias`, [out]);
  };
  const norm = (site: string) => {
    shapes.set(`${site}.weight`, [width]);
    shapes.set(`${site}.bias`, [width]);
  };
  for (let i = 0; i < layers; i++) {
    norm(`h.${i}.ln_1`);
    linear(`h.${i}.attn.q_proj`, width, width);
    linear(`h.${i}.attn.k_proj`, keyValueHeads * headDim, width);
    linear(`h.${i}.attn.v_proj`, keyValueHeads * headDim, width);
    linear(`h.${i}.attn.o_proj`, width, width);
    norm(`h.${i}.ln_2`);
    linear(`h.${i}.mlp.up_proj`, feedForward, width);
    linear(`h.${i}.mlp.down_proj`, width, feedForward);
  }
  norm('ln_f');
  const attention = { heads, keyValueHeads, keyDim: headDim, valueDim: headDim };
  return {
    name,
    architecture: 'transformer block',
    vocabularySize: vocabulary,
    hiddenSize: width,
    maxPositions: positions,
    shapes,
    tied: true,
    layers: Array.from({ length: layers }, () => ({ attention })),
  };
}

function llama(name: string, sizes: Readonly<Record<string, number>>): ModelSizes {
  const text = JSON.stringify({ architectures: ['LlamaForCausalLM'], ...sizes });
  return sizesOfDescription(name, describeModel({ label: name, text }));
}

const gpt2Small = { width: 768, layers: 12, heads: 12, feedForward: 3072, vocabulary: 50257 };
const llama7b = { width: 4096, layers: 32, heads: 32, feedForward: 11008, vocabulary: 32000 };
const llama65b = { width: 8192, layers: 80, heads: 64, feedForward: 22016, vocabulary: 32000 };

/** Models that are known by name: as published, and with the attention that a comparison by size gives them. */
const presets: Readonly<Record<string, (name: string) => ModelSizes>> = {
  'gpt2-small': (name) => blockModel(name, { ...gpt2Small, keyValueHeads: 12, positions: 1024 }),
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
  'blocks-gpt2-small-mha': (name) => blockModel(name, { ...gpt2Small, keyValueHeads: 12, positions: 2048 }),
  'blocks-llama-7b-mqa': (name) => blockModel(name, { ...llama7b, keyValueHeads: 1, positions: 2048 }),
  'blocks-llama-65b-gqa-8': (name) => blockModel(name, { ...llama65b, keyValueHeads: 8, positions: 2048 }),
};

/** Names of the models that `inspectModel` knows without a file. */
export const presetNames: readonly string[] = Object.keys(presets);

/** @throws ArgumentError for a name that is none of `presetNames` */
export function presetSizes(name: string): ModelSizes {
  const make = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (!make) throw new ArgumentError(`inspectModel: there is no preset ${name}: ${presetNames.join(', ')}`);
  return make(name);
}
