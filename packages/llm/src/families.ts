import { type Device, FileFormatError } from '@heddle/tensor';
import type { ConfigContext } from './config/context.ts';
import { JsonFields } from './config/json-fields.ts';
import { parseLlamaConfig } from './config/llama.ts';
import { Notes } from './config/notes.ts';
import type { TokenizerTokens } from './config/special-tokens.ts';
import type { ConfigFile, ModelConfig } from './config.ts';
import type { CausalLm, ModelParts } from './models/causal-lm.ts';
import { Llama, llamaDeniesBias, llamaWeightShapes } from './models/llama.ts';
import type { WeightNeeds } from './models/weight-names.ts';
import type { Weights } from './models/weights.ts';

/** A model of which the configuration is read, and nothing else yet. */
export interface ModelDescription extends WeightNeeds {
  readonly config: ModelConfig;
  /** The model over its weights, which belong to it from then on; where this throws they stay the caller's. */
  create(device: Device, weights: Weights, options: ModelParts): CausalLm;
}

/** A kind of model: what names it, how its configuration reads, which weights it has, how it is made of them. */
interface FamilyParts<C extends ModelConfig> {
  /** What `architectures` of a config.json calls it; without its head it ends in `Model`. */
  readonly architecture: `${string}ForCausalLM`;
  /** What `model_type` calls it, for files that list no architecture. */
  readonly modelType: string;
  parseConfig(config: JsonFields, context: ConfigContext): C;
  weightShapes(config: C): ReadonlyMap<string, readonly number[]>;
  /** Whether the file says that a bias is not there. */
  deniesBias(config: JsonFields, name: string): boolean;
  create(device: Device, config: C, weights: Weights, options: ModelParts): CausalLm;
}

interface Family {
  readonly architectures: readonly string[];
  readonly modelType: string;
  describe(config: JsonFields, context: ConfigContext): ModelDescription;
}

/** Every family that can be loaded. */
const families: readonly Family[] = [
  family({
    architecture: 'LlamaForCausalLM',
    modelType: 'llama',
    parseConfig: parseLlamaConfig,
    weightShapes: llamaWeightShapes,
    deniesBias: llamaDeniesBias,
    create: (device, config, weights, options) => new Llama(device, config, weights, options),
  }),
];

/** Closes over the type of the configuration, which differs from family to family. */
function family<C extends ModelConfig>(parts: FamilyParts<C>): Family {
  const { architecture, modelType } = parts;
  return {
    architectures: [architecture, architecture.replace('ForCausalLM', 'Model')],
    modelType,
    describe(fields, context) {
      const config = parts.parseConfig(fields, context);
      return {
        config,
        shapes: parts.weightShapes(config),
        tied: config.tieWordEmbeddings,
        deniesBias: (name) => parts.deniesBias(fields, name),
        create(device, weights, options) {
          const tieWordEmbeddings = weights.optional('lm_head.weight') === undefined;
          return parts.create(device, { ...config, tieWordEmbeddings }, weights, options);
        },
      };
    },
  };
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
  const fields = JsonFields.parse(config.label, config.text);
  return familyOf(fields).describe(fields, {
    generation: generation && JsonFields.parse(generation.label, generation.text),
    tokenizer,
    notes,
  });
}

function familyOf(fields: JsonFields): Family {
  const listed = fields.optionalStrings('architectures') ?? [];
  const modelType = fields.optionalString('model_type');
  const found =
    listed.length > 0
      ? families.find(({ architectures }) => architectures.some((name) => listed.includes(name)))
      : families.find((candidate) => candidate.modelType === modelType);
  if (found) return found;
  const known = families.map(({ architectures }) => architectures[0]).join(', ');
  const got = listed.length > 0 ? listed.join(', ') : (modelType ?? 'neither architectures nor model_type');
  throw new FileFormatError(`${fields.file}: unknown architecture: expected one of ${known}, got ${got}`, {
    code: 'ERR_UNKNOWN_ARCHITECTURE',
  });
}
