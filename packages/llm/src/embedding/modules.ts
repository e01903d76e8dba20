import { FileFormatError } from '@heddle/tensor';
import { openSafetensors, safetensorsToF32 } from '@heddle/tensor/safetensors';
import { JsonFields } from '../config/json-fields.ts';
import { fileLabel, type ModelFiles, openModelFile, readTextFile } from '../model-files.ts';
import { type Pooling, readPooling } from './pooling.ts';

/** A linear layer behind the pooling, with what its results go through. */
export interface DenseModule {
  readonly inSize: number;
  readonly outSize: number;
  readonly activation: 'none' | 'tanh' | 'relu' | 'sigmoid' | 'gelu' | 'silu';
  /** `[outSize, inSize]` */
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
}

/** What sentence-transformers does behind a model, as the files beside it say. */
export interface EmbeddingModules {
  readonly poolings: readonly Pooling[];
  /** Whether tokens of the prompt count. */
  readonly withPrompt: boolean;
  readonly dense: readonly DenseModule[];
  readonly normalized: boolean;
  /** Texts that stand before what is embedded, by name, and the name of the one that stands there by default. */
  readonly prompts: ReadonlyMap<string, string>;
  readonly usualPrompt: string | undefined;
  readonly maxTokens: number | undefined;
}

const activations: Readonly<Record<string, DenseModule['activation']>> = {
  Identity: 'none',
  Tanh: 'tanh',
  ReLU: 'relu',
  Sigmoid: 'sigmoid',
  GELU: 'gelu',
  SiLU: 'silu',
};

/**
 * Reads `modules.json` and what it names.
 * @throws FileFormatError `ERR_FILE_NOT_FOUND` where it is not there, `ERR_CONFIG` naming a module or field that is not known
 */
export async function readModules(files: ModelFiles): Promise<EmbeddingModules> {
  const label = fileLabel(files, 'modules.json');
  const listed = listOf(label, (await readTextFile(files, 'modules.json')) ?? missing(label));
  let pooling: ReturnType<typeof readPooling> | undefined;
  const dense: DenseModule[] = [];
  let normalized = false;
  for (const [i, { type, path }] of listed.entries()) {
    const kind = type.split('.').at(-1);
    const config = () => fieldsOf(files, `${path}/config.json`);
    if (kind === 'Transformer' && i === 0) continue;
    if (kind === 'Pooling' && i === 1) pooling = readPooling(await config());
    else if (kind === 'Dense' && pooling && !normalized) dense.push(await readDense(files, path, await config()));
    else if (kind === 'Normalize' && pooling && i === listed.length - 1) normalized = true;
    else
      throw new FileFormatError(
        `${label}: module ${i} must be one of a Transformer, a Pooling, Dense ones and a Normalize, in this order; got ${JSON.stringify(type.slice(0, 100))}`,
        { code: 'ERR_CONFIG' },
      );
  }
  if (!pooling) throw new FileFormatError(`${label}: has no Pooling`, { code: 'ERR_CONFIG' });
  return { ...pooling, dense, normalized, ...(await readPrompts(files)), maxTokens: await readMaxTokens(files) };
}

function missing(label: string): never {
  throw new FileFormatError(`embedding model: ${label} is missing, which says how its texts become vectors`, {
    code: 'ERR_FILE_NOT_FOUND',
  });
}

function listOf(label: string, text: string): readonly { readonly type: string; readonly path: string }[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new FileFormatError(`${label}: must be JSON`, { code: 'ERR_CONFIG', cause });
  }
  const isModule = (each: unknown): each is { readonly type: string; readonly path: string } => {
    const { type, path } = (each ?? {}) as Record<string, unknown>;
    return typeof type === 'string' && typeof path === 'string' && /^[\w.-]*$/.test(path) && !path.startsWith('.');
  };
  if (Array.isArray(parsed) && parsed.length > 0 && parsed.every(isModule)) return parsed;
  throw new FileFormatError(`${label}: must be a list of modules { type, path }, each in a folder beside it`, {
    code: 'ERR_CONFIG',
  });
}

async function fieldsOf(files: ModelFiles, file: string): Promise<JsonFields> {
  const label = fileLabel(files, file);
  return JsonFields.parse(label, (await readTextFile(files, file)) ?? missing(label));
}

async function readDense(files: ModelFiles, path: string, config: JsonFields): Promise<DenseModule> {
  const inSize = config.integer('in_features', { min: 1 });
  const outSize = config.integer('out_features', { min: 1 });
  const named = config.optionalString('activation_function') ?? 'torch.nn.modules.activation.Tanh';
  const activation = activations[named.split('.').at(-1)!];
  if (!activation)
    throw new FileFormatError(
      `${config.file}: activation_function must be one of ${Object.keys(activations).join(', ')}, got ${JSON.stringify(named.slice(0, 100))}`,
      { code: 'ERR_CONFIG' },
    );
  const label = fileLabel(files, `${path}/model.safetensors`);
  const file = await openSafetensors((await openModelFile(files, `${path}/model.safetensors`)) ?? missing(label));
  try {
    const read = async (name: string, shape: readonly number[]) => {
      const got = file.has(name) ? file.info(name) : undefined;
      if (String(got?.shape) !== String(shape))
        throw new FileFormatError(
          `weights: ${label}: ${name} must be [${shape}], got ${got ? `[${got.shape}]` : 'none'}`,
          {
            code: 'ERR_WEIGHTS',
          },
        );
      return safetensorsToF32(got!.dtype, await file.read(name));
    };
    const weight = await read('linear.weight', [outSize, inSize]);
    const bias = config.boolean('bias', true) ? await read('linear.bias', [outSize]) : undefined;
    return { inSize, outSize, activation, weight, bias };
  } finally {
    await file.close();
  }
}

async function readPrompts(files: ModelFiles): Promise<Pick<EmbeddingModules, 'prompts' | 'usualPrompt'>> {
  const file = 'config_sentence_transformers.json';
  const text = await readTextFile(files, file);
  if (text === undefined) return { prompts: new Map(), usualPrompt: undefined };
  const config = JsonFields.parse(fileLabel(files, file), text);
  const given = config.value('prompts') ?? {};
  const entries = Object.entries(typeof given === 'object' && given !== null ? given : {});
  const wrong = entries.find(([, prompt]) => typeof prompt !== 'string');
  if (wrong) throw new FileFormatError(`${config.file}: prompts.${wrong[0]} must be a text`, { code: 'ERR_CONFIG' });
  const usualPrompt = config.isNull('default_prompt_name') ? undefined : config.optionalString('default_prompt_name');
  return { prompts: new Map(entries as [string, string][]), usualPrompt };
}

async function readMaxTokens(files: ModelFiles): Promise<number | undefined> {
  const text = await readTextFile(files, 'sentence_bert_config.json');
  if (text === undefined) return undefined;
  return JsonFields.parse(fileLabel(files, 'sentence_bert_config.json'), text).optionalInteger('max_seq_length', {
    min: 1,
  });
}
