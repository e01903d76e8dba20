import { FileFormatError } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { Notes } from '../config/notes.ts';
import { describeModel } from '../families.ts';
import { ggufWeightNames } from '../gguf/gguf-decoder.ts';
import { ggufFamilies } from '../gguf/gguf-families.ts';
import { openGgufParts } from '../gguf/gguf-parts.ts';
import type { HubOptions } from '../hub/hub-options.ts';
import { locateModel } from '../hub/locate-model.ts';
import { fileLabel, modelFolder, readTextFile } from '../model-files.ts';
import { safetensorsWeights } from '../models/safetensors-weights.ts';
import { planWeights } from '../models/weight-names.ts';
import { type GgufOutput, ggufEntry } from './gguf-bytes.ts';
import { llamaFields } from './llama-fields.ts';
import { ggufTensor, type SourceTensor, safetensorsTensor } from './source-tensor.ts';
import { tokenizerFields } from './tokenizer-fields.ts';

/** A tensor that is to be stored in another type. */
interface QuantizedTensor extends SourceTensor {
  /** Whether it gives the logits: the head, or an embedding that is. */
  readonly isHead: boolean;
  /** Rows that are taken together. */
  readonly headRows?: number;
}

/** A model that is to be quantised into a GGUF file. */
export interface QuantizeSource {
  readonly label: string;
  /** Keys with their values, all but those of the file's type. */
  readonly entries: readonly Uint8Array[];
  readonly tensors: readonly QuantizedTensor[];
  /** Tensors that stay as they are made. */
  readonly fixed: readonly GgufOutput[];
  /** What could not be said in the file. */
  readonly notes: Notes;
  close(): Promise<void>;
}

/** @throws FileFormatError, HubError, ArgumentError as `loadModel`, and for what a GGUF file cannot hold */
export async function openQuantizeSource(source: string, hub: HubOptions): Promise<QuantizeSource> {
  const { path, label } = await locateModel('quantize', source, 'model', hub);
  return /\.gguf$/i.test(path) ? openFile(path, label) : openFolder(path, label);
}

const replaced = /^(?:general\.(?:file_type|quantization_version|alignment)|split\..*)$/;

/** Of a GGUF file everything stays but the types of its tensors. */
async function openFile(path: string, label: string): Promise<QuantizeSource> {
  const file = await openGgufParts(path, label);
  try {
    const parts = file.metadata.get('split.count');
    if (typeof parts === 'number' && parts > 1)
      throw new FileFormatError(`quantize: ${label}: is one of ${parts} parts: join them first`, {
        code: 'ERR_WEIGHTS',
      });
    const entries: Uint8Array[] = [];
    for (const [key, { offset, length }] of file.entries)
      if (!replaced.test(key)) entries.push(await file.bytes(offset, length));
    const head = file.tensors.has('output.weight') ? 'output.weight' : 'token_embd.weight';
    const tensors = [...file.tensors.keys()].map((name) => ({ ...ggufTensor(file, name), isHead: name === head }));
    return { label, entries, tensors, fixed: [], notes: new Notes(), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openFolder(path: string, label: string): Promise<QuantizeSource> {
  const files = await modelFolder(path, label);
  const text = await readTextFile(files, 'config.json');
  if (text === undefined)
    throw new FileFormatError(`quantize: ${label} has no config.json`, { code: 'ERR_FILE_NOT_FOUND' });
  const notes = new Notes();
  const model = describeModel({ label: fileLabel(files, 'config.json'), text }, { notes });
  if (model.config.architecture !== 'llama')
    throw new FileFormatError(
      `quantize: ${label}: of folders, GGUF files are written of Llama models, got ${model.config.architecture}`,
      { code: 'ERR_UNKNOWN_ARCHITECTURE' },
    );
  const file = await openSafetensors(path);
  try {
    const plan = await planWeights(model, safetensorsWeights(file, label), notes);
    const { config } = model;
    const own = llamaFields(label, config, new Map(plan.map(({ name, shape }) => [name, shape])));
    const tied = !plan.some(({ name }) => name === model.head);
    const names = ggufWeightNames(
      ggufFamilies['llama']!(() => false),
      config.layers,
      ownHeadDim(config),
    );
    const tensors = plan.map(({ name, stored }) => {
      const { stored: called, pairedRows } = names.get(name) ?? { stored: undefined, pairedRows: undefined };
      if (called === undefined)
        throw new FileFormatError(`quantize: ${label}: ${name} has no name in a GGUF file`, { code: 'ERR_WEIGHTS' });
      return {
        ...safetensorsTensor(file, stored[0]!, { name: called, headRows: pairedRows }),
        isHead: name === (tied ? model.embedding : model.head),
        ...(pairedRows !== undefined && { headRows: pairedRows }),
      };
    });
    const fields = { 'general.architecture': ['string', 'llama'], ...own.fields, ...(await tokenizerOf()) } as const;
    const entries = Object.entries(fields).map(([key, field]) => ggufEntry(key, field));
    return { label, entries, tensors, fixed: own.tensors, notes, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }

  async function tokenizerOf() {
    const tokenizer = await readTextFile(files, 'tokenizer.json');
    if (tokenizer === undefined) return {};
    const settings = JSON.parse((await readTextFile(files, 'tokenizer_config.json')) ?? '{}') as Record<
      string,
      unknown
    >;
    const template = (await readTextFile(files, 'chat_template.jinja')) ?? settings['chat_template'];
    const { fields, reason } = tokenizerFields(tokenizer, {
      vocabularySize: model.config.vocabularySize,
      chatTemplate: typeof template === 'string' ? template : undefined,
    });
    if (reason !== undefined) notes.deviate(`the tokenizer of ${label} is not in the file: ${reason}`);
    return fields ?? {};
  }
}

function ownHeadDim({ layout }: ReturnType<typeof describeModel>['config']): number {
  const { part } = layout.layers[0]!.mixer;
  return part.kind === 'attention' ? part.headDim : 0;
}
