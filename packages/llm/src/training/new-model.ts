import { ArgumentError, checkArguments } from '@heddle/tensor';
import { type SafetensorsEntry, writeSafetensors } from '@heddle/tensor/safetensors';
import { trainBytePair } from '@heddle/trainer/bpe';
import { describeModel } from '../families.ts';
import { openWriter } from './written-folder.ts';

/** Sizes of a model that is trained from nothing. */
export interface NewModelOptions {
  /** Texts that its tokenizer is trained on. */
  readonly texts: readonly string[];
  /** Tokens; 4,096 where not named. */
  readonly vocabularySize?: number;
  /** A multiple of 64; 256 where not named. Heads are 32 wide, and two share keys and values. */
  readonly width?: number;
  /** 4 where not named. */
  readonly layers?: number;
  /** Tokens of a text that it sees; 512 where not named. */
  readonly context?: number;
  /** Of the first weights; 1 where not named. */
  readonly seed?: number;
  /** Numbers from 0 to 1 that the first weights are drawn from, in place of those of `seed`. */
  readonly random?: () => number;
  /** How conversations become text, as a Jinja template; a model without takes none. */
  readonly chatTemplate?: string;
}

/** Begins and ends every text. */
const boundary = '<|endoftext|>';

/**
 * Writes the folder of a new Llama: a byte-pair tokenizer for the texts, a configuration, and random weights. Load it with
 * `loadModel(folder, { device, trainable: true })`, train it, and write it again with `saveModel`.
 * @throws ArgumentError for sizes that do not fit each other; FileFormatError where the folder cannot be written
 */
export async function createModelFolder(folder: string, options: NewModelOptions): Promise<void> {
  checkArguments('createModelFolder', 'text', { folder });
  checkArguments('createModelFolder', 'object', { options });
  const { texts, vocabularySize = 4096, width = 256, layers = 4, context = 512, seed = 1, chatTemplate } = options;
  const { random = mulberry32(seed) } = options;
  for (const [name, size] of Object.entries({ vocabularySize, width, layers, context }))
    if (!Number.isSafeInteger(size) || size < 1)
      throw new ArgumentError(`createModelFolder: ${name} must be a whole number from 1, got ${String(size)}`);
  if (width % 64 !== 0) throw new ArgumentError(`createModelFolder: width must be a multiple of 64, got ${width}`);
  const tokenizer = trainBytePair(texts, { vocabularySize, specialTokens: [boundary], beginToken: boundary });
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocabularySize,
    hidden_size: width,
    intermediate_size: Math.round((width * 8) / 3 / 16) * 16,
    num_hidden_layers: layers,
    num_attention_heads: width / 32,
    num_key_value_heads: width / 64,
    head_dim: 32,
    max_position_embeddings: context,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 0,
    eos_token_id: 0,
    torch_dtype: 'float32',
  };
  const tokenizerConfig = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: boundary,
    eos_token: boundary,
    model_max_length: context,
    clean_up_tokenization_spaces: false,
    ...(chatTemplate !== undefined && { chat_template: chatTemplate }),
  };
  const generation = { bos_token_id: 0, eos_token_id: 0, do_sample: true, temperature: 0.7, top_k: 0, top_p: 0.9 };
  const writer = await openWriter('createModelFolder', folder);
  const json = (content: object) => [new TextEncoder().encode(`${JSON.stringify(content, null, 1)}\n`)];
  await writer.write('model.safetensors', [writeSafetensors(randomWeights(config, layers, random), { format: 'pt' })]);
  await writer.write('tokenizer.json', json(tokenizer.toJSON()));
  await writer.write('tokenizer_config.json', json(tokenizerConfig));
  await writer.write('generation_config.json', json(generation));
  await writer.write('config.json', json(config));
}

/** Normal values of deviation 0.02, less in front of the residual stream; ones for norms. Source: the GPT-2 paper */
function randomWeights(config: object, layers: number, random: () => number): Map<string, SafetensorsEntry> {
  const { shapes } = describeModel({ label: 'config.json', text: JSON.stringify(config) });
  const toResidual = 0.02 / Math.sqrt(2 * layers);
  const normal = (deviation: number) =>
    deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return new Map(
    [...shapes].map(([name, shape]) => {
      const deviation = /\.(?:o_proj|down_proj)\./.test(name) ? toResidual : 0.02;
      const count = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length: count }, () => (shape.length === 1 ? 1 : normal(deviation)));
      return [name, { dtype: 'F32' as const, shape, data }];
    }),
  );
}

/** Numbers from 0 to 1 that depend on the seed alone. Source: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
