import { FileFormatError } from '@heddle/tensor';
import { JsonFields } from './config/json-fields.ts';
import { type LlamaConfig, parseLlamaConfig } from './config/llama.ts';

/** The configuration of a model of any architecture that can be loaded; `architecture` tells them apart. */
export type ModelConfig = LlamaConfig;

/** The text of a configuration file, and what to call the file in messages. */
export interface ConfigFile {
  readonly label: string;
  readonly text: string;
}

type Parser = (config: JsonFields, generation: JsonFields | undefined) => ModelConfig;

/** By the name that `architectures` gives the model. */
const architectures: Readonly<Record<string, Parser>> = { LlamaForCausalLM: parseLlamaConfig };

/** By `model_type`, for files that list no architecture. */
const modelTypes: Readonly<Record<string, Parser>> = { llama: parseLlamaConfig };

/**
 * Reads a Hugging Face `config.json`, and `generation_config.json` where there is one.
 *
 * @throws FileFormatError `ERR_UNKNOWN_ARCHITECTURE`, which lists those that are known; `ERR_CONFIG` for a field that
 *   is missing or does not fit, naming the file, the field, what was expected and what came.
 */
export function parseModelConfig(config: ConfigFile, generation?: ConfigFile): ModelConfig {
  const fields = JsonFields.parse(config.label, config.text);
  const parse = parserOf(fields);
  return parse(fields, generation && JsonFields.parse(generation.label, generation.text));
}

function parserOf(fields: JsonFields): Parser {
  const listed = fields.optionalStrings('architectures') ?? [];
  const modelType = fields.optionalString('model_type');
  const known = listed.find((name) => Object.hasOwn(architectures, name));
  if (known !== undefined) return architectures[known]!;
  if (listed.length === 0 && modelType !== undefined && Object.hasOwn(modelTypes, modelType)) {
    return modelTypes[modelType]!;
  }
  const got = listed.length > 0 ? listed.join(', ') : (modelType ?? 'neither architectures nor model_type');
  throw new FileFormatError(
    `${fields.file}: unknown architecture: expected one of ${Object.keys(architectures).join(', ')}, got ${got}`,
    { code: 'ERR_UNKNOWN_ARCHITECTURE' },
  );
}
