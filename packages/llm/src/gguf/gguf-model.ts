import { FileFormatError } from '@heddle/tensor';
import type { FileInput } from '@heddle/tensor/safetensors';
import { Notes } from '../config/notes.ts';
import { describeModel } from '../families.ts';
import type { OpenModelFolder } from '../open-folder.ts';
import { ggufConfig } from './gguf-config.ts';
import { ggufArchitectures } from './gguf-families.ts';
import { ggufWeightNames } from './gguf-names.ts';
import { type OpenPart, openGgufParts } from './gguf-parts.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { ggufWeights } from './gguf-weights.ts';

/**
 * Opens a GGUF file as a model: configuration, tokenizer and weights of one file, or of the parts of one. No weight is
 * read yet.
 *
 * @returns The open model; the caller closes it.
 * @throws FileFormatError `ERR_UNKNOWN_ARCHITECTURE`, `ERR_CONFIG`, `ERR_TOKENIZER`, and those of `openGguf`
 */
export async function openGgufModel(input: FileInput, label: string, openPart?: OpenPart): Promise<OpenModelFolder> {
  const file = await openGgufParts(input, label, openPart);
  try {
    const architecture = file.metadata.get('general.architecture');
    if (typeof architecture !== 'string' || !ggufArchitectures.includes(architecture))
      throw new FileFormatError(
        `${label}: unknown architecture: expected one of ${ggufArchitectures.join(', ')}, got ${String(architecture)}`,
        { code: 'ERR_UNKNOWN_ARCHITECTURE' },
      );
    const notes = new Notes();
    const tokenizer = ggufTokenizer(file);
    const { config, family } = await ggufConfig(file, architecture);
    const model = describeModel({ label, text: JSON.stringify(config) }, { tokenizer: tokenizer.tokenizer, notes });
    const weights = ggufWeights(file, ggufWeightNames(family, model.config.layout), model.shapes);
    return { label, model, tokenizer, weights, notes, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
