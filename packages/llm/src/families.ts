import { type Device, FileFormatError } from '@heddle/tensor';
import type { ConfigContext } from './config/context.ts';
import { parseGenerationDefaults } from './config/generation.ts';
import { JsonFields } from './config/json-fields.ts';
import { Notes } from './config/notes.ts';
import { parseSpecialTokens, type TokenizerTokens } from './config/special-tokens.ts';
import { noteUnusedFields } from './config/unused-fields.ts';
import type { ConfigFile, ModelConfig } from './config.ts';
import { cohere2 } from './families/cohere2.ts';
import { deepseekV3 } from './families/deepseek.ts';
import { gemma2, gemma3 } from './families/gemma.ts';
import { gemma4 } from './families/gemma4.ts';
import { glm4 } from './families/glm4.ts';
import { gptOss } from './families/gpt-oss.ts';
import { gpt2 } from './families/gpt2.ts';
import { granite } from './families/granite.ts';
import { granite4 } from './families/granite4.ts';
import { lfm2 } from './families/lfm2.ts';
import { llama } from './families/llama.ts';
import { ministral, ministral3, mistral } from './families/mistral.ts';
import { mixtral } from './families/mixtral.ts';
import { olmo2, olmo3 } from './families/olmo.ts';
import { phi3 } from './families/phi3.ts';
import { qwen2, qwen3 } from './families/qwen.ts';
import { qwen3Next, qwen35 } from './families/qwen-hybrid.ts';
import { qwen3Moe } from './families/qwen3-moe.ts';
import type { Family } from './families/shared/family.ts';
import { smollm3 } from './families/smollm3.ts';
import type { CausalLm, ModelParts } from './models/causal-lm.ts';
import { Decoder } from './models/decoder/decoder.ts';
import { weightTable } from './models/decoder/weight-shapes.ts';
import type { WeightNeeds } from './models/weight-names.ts';
import type { Weights } from './models/weights.ts';

/** Every family that can be loaded. */
export const families: readonly Family[] = [
  llama,
  mistral,
  ministral,
  ministral3,
  qwen2,
  qwen3,
  phi3,
  gemma2,
  gemma3,
  gemma4,
  smollm3,
  olmo2,
  olmo3,
  granite,
  granite4,
  lfm2,
  qwen35,
  gpt2,
  mixtral,
  qwen3Moe,
  gptOss,
  qwen3Next,
  deepseekV3,
  glm4,
  cohere2,
];

/** A model of which the configuration is read, and nothing else yet. */
export interface ModelDescription extends WeightNeeds {
  /** What the values of a weight begin with in a model that is not trained, where they are not random. */
  readonly starts: ReadonlyMap<string, number | 'rates'>;
  /** Weights that are no parameters. */
  readonly buffers: ReadonlySet<string>;
  readonly config: ModelConfig;
  /** The model over its weights, which belong to it from then on; where this throws they stay the caller's. */
  create(device: Device, weights: Weights, options: ModelParts): CausalLm;
}

/** What a configuration may be read beside. */
interface Beside {
  readonly generation?: ConfigFile | undefined;
  readonly tokenizer?: TokenizerTokens | undefined;
  readonly notes?: Notes;
}

/**
 * Reads a Hugging Face `config.json`, and `generation_config.json` where there is one, by the family that it names.
 *
 * @throws FileFormatError `ERR_UNKNOWN_ARCHITECTURE`, which lists those that are known; `ERR_CONFIG` for a field that
 *   is missing or does not fit, naming the file, the field, what was expected and what came.
 */
export function describeModel(config: ConfigFile, beside: Beside = {}): ModelDescription {
  const { generation, tokenizer, notes = new Notes() } = beside;
  const fields = textFields(JsonFields.parse(config.label, config.text));
  return describe(familyOf(fields), fields, {
    generation: generation && JsonFields.parse(generation.label, generation.text),
    tokenizer,
    notes,
  });
}

function describe(
  family: Family,
  fields: JsonFields,
  { generation, tokenizer, notes }: ConfigContext,
): ModelDescription {
  const { layout, maxPositions, tied } = family.read(fields);
  const { vocabularySize, hiddenSize } = layout;
  noteUnusedFields(fields, family.name, notes);
  const config: ModelConfig = {
    architecture: family.name,
    vocabularySize,
    hiddenSize,
    layers: layout.layers.length,
    maxPositions,
    tieWordEmbeddings: tied,
    layout,
    ...parseSpecialTokens({ config: fields, generation, tokenizer, family: family.tokens, vocabularySize }, notes),
    generation: parseGenerationDefaults(generation, notes),
  };
  const head = `${layout.head.site}.weight`;
  return {
    config,
    ...weightTable(layout, tied),
    tied,
    embedding: `${layout.embedding.site}.weight`,
    head,
    create: (device, weights, options) =>
      new Decoder(device, { ...config, tieWordEmbeddings: !weights.optional(head) }, weights, options),
  };
}

/** The language model's own fields, where it is a part of one that also takes images or sound. */
function textFields(fields: JsonFields): JsonFields {
  const listed = fields.optionalStrings('architectures') ?? [];
  if (!listed.some((name) => name.endsWith('ForConditionalGeneration'))) return fields;
  const tokens = ['bos_token_id', 'eos_token_id', 'pad_token_id'];
  const inner = fields.within('text_config', [...tokens, 'tie_word_embeddings', 'quantization_config']);
  const known = families.some(({ modelType }) => modelType === inner?.value('model_type'));
  return inner && known ? inner : fields;
}

function familyOf(fields: JsonFields): Family {
  const listed = fields.optionalStrings('architectures') ?? [];
  const modelType = fields.optionalString('model_type');
  const found =
    listed.length > 0
      ? families.find((family) => architecturesOf(family).some((name) => listed.includes(name)))
      : families.find((candidate) => candidate.modelType === modelType);
  if (found) return found;
  const known = families.map(({ architecture }) => architecture).join(', ');
  const got = listed.length > 0 ? listed.join(', ') : (modelType ?? 'neither architectures nor model_type');
  throw new FileFormatError(`${fields.file}: unknown architecture: expected one of ${known}, got ${got}`, {
    code: 'ERR_UNKNOWN_ARCHITECTURE',
  });
}

/** With its head and without it. */
function architecturesOf({ architecture }: Family): readonly string[] {
  const name = architecture.replace(/(?:ForCausalLM|LMHeadModel)$/, '');
  return [architecture, `${name}Model`, `${name}TextModel`];
}
