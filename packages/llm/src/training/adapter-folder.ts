import { checkArguments, type Device, FileFormatError, isHeddleError } from '@heddle/tensor';
import { adapterFiles, type Lora, readAdapter } from '@heddle/trainer/lora';
import { fileLabel, type ModelFiles, modelFiles, openModelFile, readTextFile } from '../model-files.ts';
import { openWriter } from './written-folder.ts';

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';

/**
 * An adapter from a folder that PEFT or `saveAdapter` wrote, for `adaptedModel`, or to be trained further.
 * @param source the path of a folder, or its files
 * @returns owned by the caller
 * @throws FileFormatError `ERR_FILE_NOT_FOUND`; TrainingError `ERR_ADAPTER` for files that are damaged or not supported
 */
export async function openAdapter(device: Device, source: string | ModelFiles): Promise<Lora> {
  const files = await modelFiles('openAdapter', source).catch((cause: unknown) => {
    if (!isHeddleError(cause, 'ERR_FILE_NOT_FOUND')) throw cause;
    const message = cause.message.replace(/^open model:/, 'open adapter:');
    throw new FileFormatError(message, { code: cause.code, cause });
  });
  const config = await readTextFile(files, configFile);
  const weights = await openModelFile(files, weightsFile);
  for (const [name, found] of [
    [configFile, config],
    [weightsFile, weights],
  ] as const)
    if (found === undefined)
      throw new FileFormatError(`open adapter: there is no ${fileLabel(files, name)}`, { code: 'ERR_FILE_NOT_FOUND' });
  return readAdapter(device, { config: config!, weights: weights! });
}

/**
 * Writes an adapter as a folder that PEFT and `openAdapter` read; a file that is there is replaced as a whole.
 * @param baseModel the name or path of the model that it is for
 * @throws FileFormatError where the folder cannot be written; what was there before stays
 */
export async function saveAdapter(folder: string, lora: Lora, baseModel?: string): Promise<void> {
  checkArguments('saveAdapter', 'text', { folder });
  checkArguments('saveAdapter', 'object', { lora });
  const writer = await openWriter('saveAdapter', folder);
  const files = await adapterFiles(lora, baseModel);
  await writer.write(weightsFile, [files[weightsFile]]);
  await writer.write(configFile, [new TextEncoder().encode(files[configFile])]);
}
