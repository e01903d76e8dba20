import { type Device, FileFormatError } from '@heddle/tensor';
import { JsonFields } from './config/json-fields.ts';
import { parseLlamaConfig } from './config/llama.ts';
import type { ConfigFile, ModelConfig } from './config.ts';
import type { CausalLm, ModelParts } from './models/causal-lm.ts';
import { Llama, llamaWeightShapes } from './models/llama.ts';
import type { Weights } from './models/weights.ts';

/** A model of which the configuration is read, and nothing else yet. */
export interface ModelDescription {
  readonly config: ModelConfig;
  /** Shape of every weight by the name that the file has for it. */
  readonly weightShapes: ReadonlyMap<string, readonly number[]>;
  /** The model over its weights, which belong to it from then on; where this throws they stay the caller's. */
  create(device: Device, weights: Weights, options: ModelParts): CausalLm;
}

/** A kind of model: what names it, how its configuration reads, which weights it has, how it is made of them. */
interface FamilyParts<C extends ModelConfig> {
  /** What `architectures` of a config.json calls it. */
  readonly architecture: string;
  /** What `model_type` calls it, for files that list no architecture. */
  readonly modelType: string;
  parseConfig(config: JsonFields, generation: JsonFields | undefined): C;
  weightShapes(config: C): ReadonlyMap<string, readonly number[]>;
  create(device: Device, config: C, weights: Weights, options: ModelParts): CausalLm;
}

interface Family {
  readonly architecture: string;
  readonly modelType: string;
  describe(config: JsonFields, generation: JsonFields | undefined): ModelDescription;
}

/** Every family that can be loaded. */
const families: readonly Family[] = [
  family({
    architecture: 'LlamaForCausalLM',
    modelType: 'llama',
    parseConfig: parseLlamaConfig,
    weightShapes: llamaWeightShapes,
    create: (device, config, weights, options) => new Llama(device, config, weights, options),
  }),
];

/** Closes over the type of the configuration, which differs from family to family. */
function family<C extends ModelConfig>(parts: FamilyParts<C>): Family {
  const { architecture, modelType } = parts;
  return {
    architecture,
    modelType,
    describe(fields, generation) {
      const config = parts.parseConfig(fields, generation);
      return {
        config,
        weightShapes: parts.weightShapes(config),
        create: (device, weights, options) => parts.create(device, config, weights, options),
      };
    },
  };
}

/**
 * Reads a Hugging Face `config.json`, and `generation_config.json` where there is one, by the family that it names.
 *
 * @throws FileFormatError `ERR_UNKNOWN_ARCHITECTURE`, which lists those that are known; `ERR_CONFIG` for a field that
 *   is missing or does not fit, naming the file, the field, what was expected and what came.
 */
export function describeModel(config: ConfigFile, generation?: ConfigFile): ModelDescription {
  const fields = JsonFields.parse(config.label, config.text);
  const found = familyOf(fields);
  return found.describe(fields, generation && JsonFields.parse(generation.label, generation.text));
}

function familyOf(fields: JsonFields): Family {
  const listed = fields.optionalStrings('architectures') ?? [];
  const modelType = fields.optionalString('model_type');
  const found =
    listed.length > 0
      ? families.find(({ architecture }) => listed.includes(architecture))
      : families.find((candidate) => candidate.modelType === modelType);
  if (found) return found;
  const known = families.map(({ architecture }) => architecture).join(', ');
  const got = listed.length > 0 ? listed.join(', ') : (modelType ?? 'neither architectures nor model_type');
  throw new FileFormatError(`${fields.file}: unknown architecture: expected one of ${known}, got ${got}`, {
    code: 'ERR_UNKNOWN_ARCHITECTURE',
  });
}
