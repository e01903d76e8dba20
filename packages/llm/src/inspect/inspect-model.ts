import { ArgumentError, checkOptions, FileFormatError, isHeddleError } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { type AnyConfig, describeConfig } from '../described-config.ts';
import { describeModel } from '../families.ts';
import { openModelFolder } from '../folder.ts';
import type { HubOptions } from '../hub/hub-options.ts';
import { locateModel } from '../hub/locate-model.ts';
import { fileLabel, type ModelFiles, modelFolder, readTextFile } from '../model-files.ts';
import { weightDTypes } from '../models/weight-file.ts';
import { planWeights } from '../models/weight-names.ts';
import { sizesOfDescription } from './describe-sizes.ts';
import type { ModelSizes } from './model-sizes.ts';
import { presetNames, presetSizes } from './presets.ts';
import { type InspectOptions, type ModelReport, reportOf } from './report.ts';

const known = ['dtype', 'cacheDtype', 'length', 'batch', 'memory', 'hub'];

/**
 * What a model costs, from its files' headers or its configuration alone: parameters by part, memory by dtype, bytes of keys and
 * values, operations of prefill and decoding, layer by layer; with `memory` also what fits it. Nothing is allocated for it.
 *
 * @param source What `loadModel` takes (a folder, a GGUF file, a hub id, files), the fields of a config.json, blocks or layers as
 *   `createModel` takes them, or the name of a preset: gpt2-small, llama-7b, llama-65b, and with the attention of a comparison blocks-gpt2-small-mha, blocks-llama-7b-mqa,
 *   blocks-llama-65b-gqa-8.
 * @throws ArgumentError for options that do not fit; FileFormatError as `loadModel`
 */
export async function inspectModel(
  source: string | ModelFiles | AnyConfig,
  options: InspectOptions = {},
): Promise<ModelReport> {
  checkOptions('inspectModel', options, known);
  checkNumbers(options);
  const sizes = await sizesOf(source, options.hub ?? {});
  const { dtype = 'f16', cacheDtype = 'f16', batch = 1, memory } = options;
  const length = options.length ?? Math.min(2048, sizes.maxPositions);
  if (length > sizes.maxPositions)
    throw new ArgumentError(
      `inspectModel: length must fit the model's context of ${sizes.maxPositions}, got ${length}`,
    );
  return reportOf(sizes, { dtype, cacheDtype, length, batch, ...(memory !== undefined && { memory }) });
}

function checkNumbers({ dtype, cacheDtype, length, batch, memory }: InspectOptions): void {
  if (dtype !== undefined && !weightDTypes.includes(dtype))
    throw new ArgumentError(`inspectModel: dtype takes ${weightDTypes.join(', ')}, got ${String(dtype)}`);
  if (cacheDtype !== undefined && cacheDtype !== 'f32' && cacheDtype !== 'f16')
    throw new ArgumentError(`inspectModel: cacheDtype takes f32, f16, got ${String(cacheDtype)}`);
  for (const [name, value] of Object.entries({ length, batch, memory }))
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new ArgumentError(`inspectModel: ${name} must be a positive integer, got ${String(value)}`);
}

/** Whoever asks for no model may have meant a preset. */
async function withPresets(sizes: Promise<ModelSizes>): Promise<ModelSizes> {
  return sizes.catch((error: unknown) => {
    if (isHeddleError(error, 'ERR_FILE_NOT_FOUND'))
      throw new FileFormatError(`${error.message}; presets are ${presetNames.join(', ')}`, {
        code: error.code,
        cause: error,
      });
    throw error;
  });
}

async function sizesOf(source: string | ModelFiles | AnyConfig, hub: HubOptions): Promise<ModelSizes> {
  if (typeof source === 'string')
    return presetNames.includes(source) ? presetSizes(source) : withPresets(sizesOfName(source, hub));
  if (typeof source !== 'object' || source === null || Array.isArray(source))
    throw new ArgumentError(
      `inspectModel: takes a path, a preset (${presetNames.join(', ')}), files or the fields of a config.json, got ${describe(source)}`,
    );
  if (isModelFiles(source)) return sizesOfFiles(source);
  return sizesOfDescription('config', describeConfig(source));
}

const isModelFiles = (source: object): source is ModelFiles =>
  typeof (source as Partial<ModelFiles>).open === 'function';

/** What is on disk, with what its weights settle; of a model of a hub only the configuration, unless it is a GGUF file. */
async function sizesOfName(source: string, hub: HubOptions): Promise<ModelSizes> {
  const { path, label } = await locateModel('inspectModel', source, 'config', hub);
  if (path === source || /\.gguf$/i.test(path))
    return sizesOfFiles(path).catch((cause: unknown) => notThere(source, cause));
  const files = await modelFolder(path, label);
  const text = await readTextFile(files, 'config.json');
  if (text === undefined) return sizesOfFiles(files);
  return sizesOfDescription(label, describeModel({ label: fileLabel(files, 'config.json'), text }));
}

/** A name that is none of a file may have been meant as one of a preset. */
function notThere(source: string, cause: unknown): never {
  if (!isHeddleError(cause, 'ERR_FILE_NOT_FOUND') || /[/\\.]/.test(source)) throw cause;
  const message = `${cause.message}, nor is '${source}' a preset (${presetNames.join(', ')})`;
  throw new FileFormatError(message, { code: cause.code, cause });
}

/** With what the files settle: biases that the configuration leaves open, a head of its own. */
async function sizesOfFiles(source: string | ModelFiles): Promise<ModelSizes> {
  const { label, model, weights, notes, close } = await openModelFolder(source);
  try {
    const shapes = new Map((await planWeights(model, weights, notes)).map(({ name, shape }) => [name, shape]));
    return sizesOfDescription(label, { ...model, shapes, tied: !shapes.has('lm_head.weight') });
  } finally {
    await close();
  }
}
