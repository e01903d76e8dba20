import { FileFormatError } from '@heddle/tensor';
import { openSafetensors, openShardedSafetensors } from '@heddle/tensor/safetensors';
import { Notes } from './config/notes.ts';
import type { TokenizerTokens } from './config/special-tokens.ts';
import { describeModel, type ModelDescription } from './families.ts';
import { openGgufModel } from './gguf/gguf-model.ts';
import type { HubOptions } from './hub/hub-options.ts';
import { locateModel } from './hub/locate-model.ts';
import { ggufParts } from './hub/needed-files.ts';
import { fileLabel, type ModelFiles, modelFiles, modelFolder, openModelFile, readTextFile } from './model-files.ts';
import { safetensorsWeights } from './models/safetensors-weights.ts';
import type { WeightFile } from './models/weight-file.ts';
import type { OpenModelFolder } from './open-folder.ts';
import { loadTokenizer } from './tokenizer.ts';

const configFile = 'config.json';
const generationFile = 'generation_config.json';
const weightsFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';
/** What files that are no folder call a model in one GGUF file, or its first part, beside `model-00002-of-0000N.gguf` and so on. */
const ggufFile = 'model.gguf';

/**
 * Opens a Hugging Face folder: `config.json`, `generation_config.json`, the tokenizer, and the safetensors in one file
 * or in shards; or a GGUF file. No weight is read yet.
 *
 * @param source The path of a folder or of a `.gguf` file (where there is `node:fs`), a model of a hub, or the files of a model,
 *   which may be a `model.gguf` alone.
 * @param hub How a model of a hub is fetched.
 * @returns The open folder; the caller closes it.
 * @throws FileFormatError `ERR_FILE_NOT_FOUND` for a missing folder, configuration, weights or shard,
 *   `ERR_UNKNOWN_ARCHITECTURE`, HubError, `ERR_CONFIG`, `ERR_TOKENIZER`, and the `ERR_SAFETENSORS_...` of damaged weights.
 */
export async function openModelFolder(
  source: string | ModelFiles,
  hub: HubOptions | undefined = {},
): Promise<OpenModelFolder> {
  if (typeof source !== 'string') return openFiles(await modelFiles('open model', source));
  const { path, label } = await locateModel('open model', source, 'model', hub);
  return /\.gguf$/i.test(path) ? openGgufModel(path, label) : openFiles(await modelFolder(path, label));
}

async function openFiles(files: ModelFiles): Promise<OpenModelFolder> {
  if ((await readTextFile(files, configFile)) === undefined) {
    const gguf = await openModelFile(files, ggufFile);
    const openPart = (index: number, count: number) =>
      openModelFile(files, ggufParts(`model-00001-of-${String(count).padStart(5, '0')}.gguf`)[index]!);
    if (gguf !== undefined) return openGgufModel(gguf, fileLabel(files, ggufFile), openPart);
  }
  const notes = new Notes();
  const tokenizer = await loadTokenizer(files);
  const model = await readConfig(files, tokenizer.tokenizer, notes);
  const weights = await openWeights(files, notes);
  return { label: files.label, model, tokenizer, weights, notes, close: () => weights.close() };
}

async function readConfig(
  files: ModelFiles,
  tokenizer: TokenizerTokens | undefined,
  notes: Notes,
): Promise<ModelDescription> {
  const text = await readTextFile(files, configFile);
  if (text === undefined) throw missing(`${files.label} has no ${configFile}`);
  const generation = await readTextFile(files, generationFile);
  return describeModel(
    { label: fileLabel(files, configFile), text },
    {
      tokenizer,
      notes,
      generation: generation === undefined ? undefined : { label: fileLabel(files, generationFile), text: generation },
    },
  );
}

/** The single file where there is one, as transformers does: an index beside it may be left over. */
async function openWeights(files: ModelFiles, notes: Notes): Promise<WeightFile> {
  const index = await readTextFile(files, indexFile);
  const single = await openModelFile(files, weightsFile);
  if (single !== undefined) {
    const file = safetensorsWeights(await openSafetensors(single), weightsFile);
    if (index !== undefined) notes.add(`${indexFile} is not used: ${weightsFile} stands beside it`);
    return file;
  }
  if (index === undefined) throw missing(`${files.label} has no weights: neither ${weightsFile} nor ${indexFile}`);
  const openShard = async (shard: string) => {
    const input = await openModelFile(files, shard);
    if (input === undefined) throw missing(`${files.label} has no ${shard}, which its ${indexFile} names`);
    return input;
  };
  return safetensorsWeights(await openShardedSafetensors(index, openShard, fileLabel(files, indexFile)), indexFile);
}

function missing(message: string): FileFormatError {
  return new FileFormatError(`open model: ${message}`, { code: 'ERR_FILE_NOT_FOUND' });
}
